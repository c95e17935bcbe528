#include "plugins/cpu/operators.hpp"

#include <optional>

#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/product.hpp"
#include "plugins/cpu/stream.hpp"

namespace flagos::cpu {
namespace {

// With the library that computes it; nothing where there is none.
std::optional<Product> product_of(Device& device, const flagos_operator_desc_t& desc) {
  const std::optional<ProductTerms> terms = ProductTerms::of(desc);
  std::optional<Product> product =
      terms ? Product::of(*terms, product_operators()[desc.index].name) : std::nullopt;
  Instance& instance = device.instance();
  if (product &&
      !product->find_library(instance.blas(), instance.onednn(), device.pool().thread_count()))
    product.reset();
  return product;
}

}  // namespace

// The libraries themselves are looked for when a product asks for them.
flagos_status_t operator_get_info(flagos_plugin_device_t* device, std::uint32_t index,
                                  flagos_operator_info_t* out_info) noexcept {
  Device& self = from_c(device);
  Instance& instance = self.instance();
  if (index >= product_operators().size() ||
      (!instance.blas().is_wanted() && !instance.onednn().is_wanted()))
    return FLAGOS_STATUS_NOT_FOUND;
  out_info->name = product_operators()[index].name;
  out_info->schema = product_operators()[index].schema;
  return FLAGOS_STATUS_OK;
}

flagos_status_t operator_query(flagos_plugin_device_t* device, const flagos_operator_desc_t* desc,
                               flagos_operator_support_t* out_support) noexcept {
  Device& self = from_c(device);
  return entry(self.host(), [&] {
    if (!product_of(self, *desc)) return;
    out_support->flags =
        FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;
  });
}

flagos_status_t operator_run(flagos_plugin_stream_t* stream,
                             const flagos_operator_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    std::optional<Product> product = product_of(self.device(), *desc);
    if (!product)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "no library that is here takes this call of {}",
                  product_operators()[desc->index].name);
    self.submit<ProductCommand>(
        [&](ProductCommand& command) { command.product = *std::move(product); });
  });
}

}  // namespace flagos::cpu
