#include "plugins/nvidia/operators.hpp"

#include <memory>
#include <optional>
#include <utility>

#include "plugins/nvidia/handles.hpp"
#include "plugins/nvidia/product.hpp"
#include "plugins/nvidia/stream.hpp"

namespace flagos::nvidia {
namespace {

// Addresses that no product can be of.
void check_addresses(Device& device, const ProductPlan& plan, const Product& product,
                     const char* name) {
  const std::pair<flagos_address_t, flagos_dtype_t> matrices[] = {
      {product.a, product.shape.a.dtype},
      {product.b, product.shape.b.dtype},
      {product.c, product.shape.out.dtype},
      {product.out, product.shape.out.dtype}};
  for (const auto& [address, dtype] : matrices) {
    if (address == 0) continue;
    const std::uint64_t element = FLAGOS_DTYPE_BITS(dtype) / 8;
    if (address % element != 0 || device.memory().place_of(address) == Place::pageable)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "{}: {:#x} is {}", name, address,
                  address % element != 0 ? "not aligned to its elements"
                                         : "ordinary host memory, which cuBLASLt does not read");
  }
  if (!plan.fits(product))
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "{}: factors of 8 bits at {:#x} and {:#x}, result at {:#x}: cuBLASLt takes them "
                "aligned to 16 bytes",
                name, product.a, product.b, product.out);
}

}  // namespace

flagos_status_t operator_get_info(flagos_plugin_device_t*, std::uint32_t index,
                                  flagos_operator_info_t* out_info) noexcept {
  if (index >= product_operators().size()) return FLAGOS_STATUS_NOT_FOUND;
  out_info->name = product_operators()[index].name;
  out_info->schema = product_operators()[index].schema;
  return FLAGOS_STATUS_OK;
}

flagos_status_t operator_query(flagos_plugin_device_t* device, const flagos_operator_desc_t* desc,
                               flagos_operator_support_t* out_support) noexcept {
  Device& self = from_c(device);
  return device_entry(self, [&] {
    const std::optional<Product> product = Product::of(*desc);
    if (!product) return;
    const std::shared_ptr<const ProductPlan> plan = self.products().find(product->shape);
    if (plan == nullptr) return;
    out_support->flags =
        FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;
    out_support->workspace_bytes = plan->workspace_bytes();
  });
}

flagos_status_t operator_run(flagos_plugin_stream_t* stream,
                             const flagos_operator_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  Device& device = self.device();
  return device_entry(device, [&] {
    const char* const name = product_operators()[desc->index].name;
    const std::optional<Product> product = Product::of(*desc);
    const std::shared_ptr<const ProductPlan> plan =
        product ? device.products().find(product->shape) : nullptr;
    if (plan == nullptr)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "cuBLASLt does not take this call of {}", name);
    check_addresses(device, *plan, *product, name);
    const auto issue = [&](CUstream handle, flagos_address_t) {
      return plan->run(*product, desc->workspace, desc->workspace_bytes, handle);
    };
    const auto keep = [&] {
      return Command([plan, product = *product, workspace = desc->workspace,
                      bytes = desc->workspace_bytes](CUstream handle, flagos_address_t) {
        return plan->run(product, workspace, bytes, handle);
      });
    };
    self.submit({FLAGOS_RECORD_KIND_KERNEL, name, 0}, "cublasLtMatmul", issue, keep);
  });
}

}  // namespace flagos::nvidia
