#include "conformance/cases/num_support.hpp"

#include <cstring>

namespace flagos::conformance {
namespace {

bool takes_portable_kernels(Context& t) {
  std::uint32_t count = 0;
  t.ok(flagos_module_get_format_count(t.device(), &count), "the number of formats");
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t info{};
    info.struct_size = sizeof(info);
    t.ok(flagos_module_get_format(t.device(), i, &info), "a format");
    if (std::strcmp(info.name, "flagos.tile") == 0) return true;
  }
  return false;
}

}  // namespace

Operators::Operators(Context& t) : t_(t), stream_(t), caller_(t.device(), stream_) {
  if (!takes_portable_kernels(t))
    t.not_supported("the device takes no portable kernels (format flagos.tile)");
}

bool Operators::computes_in(DType dtype) {
  if (dtype != DType::f64) return true;
  if (!has_f64_) {
    // With its functions: a device may add and multiply in it, and have no exp (as Vulkan has none).
    op::HostTensor x = op::HostTensor::of(DType::f64, {1}, {4}), out(DType::f64, {1});
    has_f64_ = caller_.call("exp", {&x, &out}) == FLAGOS_STATUS_OK;
  }
  return *has_f64_;
}

std::vector<DType> Operators::types(std::initializer_list<DType> all) {
  std::vector<DType> out;
  for (const DType dtype : all)
    if (computes_in(dtype) && (!quick() || out.empty() || dtype == DType::i32))
      out.push_back(dtype);
  return out;
}

void Operators::run(op::Example example) {
  t_.subcase(example.which);
  const std::string wrong = example.run(caller_);
  t_.check(wrong.empty(), wrong.empty() ? "the result is within its bound" : wrong);
  if (example.bound.ulp == 0 && example.bound.sum == 0) t_.digest(example.out->bytes());
}

void Operators::refuse(const std::string& name, const op::Arguments& arguments,
                       flagos_status_t status) {
  t_.subcase(name + " of what does not fit");
  t_.status(caller_.call(name, arguments), status, name + " refuses the call");
  const std::string text = flagos_last_error();
  t_.check(text.rfind(name + ": ", 0) == 0, "the text begins with the operator, and is: " + text);
}

}  // namespace flagos::conformance
