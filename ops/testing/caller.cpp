#include "ops/testing/caller.hpp"

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace flagos::ops::testing {
namespace {

void check(flagos_status_t status) {
  if (status != FLAGOS_STATUS_OK) throw std::runtime_error(flagos_last_error());
}
std::uint64_t pointer(const void* p) {
  return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(p));
}

// The tensors of a call in device memory, for its time.
class Placed {
 public:
  Placed(const Caller& caller, flagos_device_t* device) : caller_(caller), device_(device) {}
  ~Placed() {
    for (const auto& [tensor, address] : places_)
      static_cast<void>(flagos_memory_free(device_, address));
  }
  Placed(const Placed&) = delete;
  Placed& operator=(const Placed&) = delete;

  const flagos_tensor_t* place(HostTensor* tensor) {
    flagos_address_t address = 0;
    for (const auto& [known, at] : places_)
      if (known == tensor) address = at;
    if (address == 0) {
      address = caller_.upload(*tensor);
      places_.emplace_back(tensor, address);
    }
    tensors_.push_back(describe(*tensor, address));
    return &tensors_.back();
  }
  const std::vector<const flagos_tensor_t*>& place(const std::vector<HostTensor*>& list) {
    std::vector<const flagos_tensor_t*> made;
    for (HostTensor* const tensor : list) made.push_back(place(tensor));
    return lists_.emplace_back(std::move(made));
  }
  void read_back() {
    for (const auto& [tensor, address] : places_) caller_.download(*tensor, address);
  }

 private:
  const Caller& caller_;
  flagos_device_t* device_;
  std::vector<std::pair<HostTensor*, flagos_address_t>> places_;
  std::deque<flagos_tensor_t> tensors_;
  std::deque<std::vector<const flagos_tensor_t*>> lists_;
};

// Waits for what was queued with `status`, and gives back what it wrote.
flagos_status_t finished(flagos_stream_t* stream, Placed& placed, flagos_status_t status) {
  if (status == FLAGOS_STATUS_OK) {
    status = flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE);
    if (status == FLAGOS_STATUS_OK) {
      placed.read_back();
      status = flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE);
    }
  }
  const std::string text = flagos_last_error();
  // What was refused may have left copies of the caller's memory under way.
  if (status != FLAGOS_STATUS_OK) flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE);
  // The device may have failed before the call queued all of its kernels: then the call itself says so.
  if (status == FLAGOS_STATUS_EXECUTION_FAILED) check(flagos_stream_reset(stream));
  if (status != FLAGOS_STATUS_OK) flagos_set_last_error(text.c_str());
  return status;
}

Schema schema_of(const std::string& op, std::uint32_t& out_index) {
  check(flagos_ops_find(op.c_str(), &out_index));
  flagos_ops_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_ops_get_info(out_index, &info));
  return Schema::parse(info.schema);
}

// As flagos_ops_call takes it. What goes by address points into `argument` or `scalars`.
flagos_ops_argument_t packed(const Argument& argument, const Parameter* parameter, Placed& placed,
                             std::deque<flagos_scalar_t>& scalars) {
  const bool is_scalar = parameter != nullptr && parameter->kind == Parameter::Kind::scalar;
  const bool by_address = parameter != nullptr && (parameter->optional || is_scalar);
  flagos_ops_argument_t value{};
  const auto number = [&](const void* where, flagos_dtype_t dtype, std::uint64_t bits) {
    value.value = bits;
    if (is_scalar) {
      scalars.push_back({dtype, 0, bits});
      value.value = pointer(&scalars.back());
    } else if (by_address) {
      value.value = pointer(where);
    }
  };
  if (auto* const* tensor = std::get_if<HostTensor*>(&argument)) {
    value.value = *tensor != nullptr ? pointer(placed.place(*tensor)) : 0;
  } else if (const auto* list = std::get_if<std::vector<HostTensor*>>(&argument)) {
    value.value = pointer(placed.place(*list).data());
    value.count = static_cast<std::uint32_t>(list->size());
  } else if (const auto* integer = std::get_if<std::int64_t>(&argument)) {
    number(integer, FLAGOS_DTYPE_INT64, static_cast<std::uint64_t>(*integer));
  } else if (const auto* real = std::get_if<double>(&argument)) {
    number(real, FLAGOS_DTYPE_FLOAT64, std::bit_cast<std::uint64_t>(*real));
  } else if (const auto* both = std::get_if<std::complex<float>>(&argument)) {
    number(both, FLAGOS_DTYPE_COMPLEX64, std::bit_cast<std::uint64_t>(*both));
  } else if (const auto* flag = std::get_if<bool>(&argument)) {
    value.value = static_cast<std::uint64_t>(*flag);
  } else if (const auto* numbers_given = std::get_if<std::vector<std::int64_t>>(&argument)) {
    value.value = pointer(numbers_given->data());
    value.count = static_cast<std::uint32_t>(numbers_given->size());
  } else if (const auto* word = std::get_if<std::string>(&argument)) {
    value.value = pointer(word->c_str());
  }
  return value;
}

// As flagos_operator_run takes it.
flagos_operator_argument_t described(const Argument& argument, Placed& placed) {
  const auto length = [](std::size_t count) { return static_cast<std::uint32_t>(count); };
  if (auto* const* tensor = std::get_if<HostTensor*>(&argument))
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, pointer(placed.place(*tensor))};
  if (const auto* list = std::get_if<std::vector<HostTensor*>>(&argument))
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS, length(list->size()),
            pointer(placed.place(*list).data())};
  if (const auto* integer = std::get_if<std::int64_t>(&argument))
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER, 0, static_cast<std::uint64_t>(*integer)};
  if (const auto* real = std::get_if<double>(&argument))
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL, 0, std::bit_cast<std::uint64_t>(*real)};
  if (const auto* flag = std::get_if<bool>(&argument))
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_BOOLEAN, 0, static_cast<std::uint64_t>(*flag)};
  if (const auto* numbers_given = std::get_if<std::vector<std::int64_t>>(&argument))
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGERS, length(numbers_given->size()),
            pointer(numbers_given->data())};
  if (const auto* word = std::get_if<std::string>(&argument))
    return {FLAGOS_OPERATOR_ARGUMENT_TYPE_TEXT, 0, pointer(word->c_str())};
  return {};
}

}  // namespace

flagos_tensor_t describe(const HostTensor& tensor, flagos_address_t address) {
  flagos_tensor_t out{};
  out.struct_size = sizeof(out);
  out.dtype = to_abi(tensor.dtype());
  out.address = address + tensor.offset_bytes();
  out.rank = static_cast<std::uint32_t>(tensor.rank());
  out.shape = tensor.shape().data();
  out.strides = tensor.strides().data();
  return out;
}

flagos_address_t Caller::upload(const HostTensor& tensor) const {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = tensor.bytes().size();
  flagos_address_t address = 0;
  check(flagos_memory_alloc(device_, &desc, &address));
  check(flagos_memory_copy(stream_, address,
                           reinterpret_cast<std::uintptr_t>(tensor.bytes().data()),
                           tensor.bytes().size()));
  return address;
}

void Caller::download(HostTensor& tensor, flagos_address_t address) const {
  check(flagos_memory_copy(stream_, reinterpret_cast<std::uintptr_t>(tensor.bytes().data()),
                           address, tensor.bytes().size()));
}

void Caller::free(flagos_address_t address) const { check(flagos_memory_free(device_, address)); }

flagos_status_t Caller::call(const std::string& op, const Arguments& arguments) const {
  std::uint32_t index = 0;
  const Schema schema = schema_of(op, index);
  Placed placed(*this, device_);
  std::deque<flagos_scalar_t> scalars;
  std::vector<flagos_ops_argument_t> values;
  for (std::size_t i = 0; i < arguments.size(); ++i)
    values.push_back(packed(arguments[i],
                            i < schema.parameters.size() ? &schema.parameters[i] : nullptr, placed,
                            scalars));
  const flagos_status_t status =
      flagos_ops_call(stream_, index, values.data(), static_cast<std::uint32_t>(values.size()));
  return finished(stream_, placed, status);
}

std::optional<flagos_status_t> Caller::call_native(std::uint32_t index,
                                                   const Arguments& arguments) const {
  Placed placed(*this, device_);
  std::vector<flagos_operator_argument_t> values;
  for (const Argument& argument : arguments) values.push_back(described(argument, placed));
  flagos_operator_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.index = index;
  desc.arguments = values.data();
  desc.argument_count = static_cast<std::uint32_t>(values.size());
  flagos_operator_support_t support{};
  support.struct_size = sizeof(support);
  check(flagos_operator_query(device_, &desc, &support));
  if ((support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS) == 0) return std::nullopt;
  HostTensor workspace(DType::u8, {static_cast<std::int64_t>(support.workspace_bytes)});
  if (support.workspace_bytes != 0) {
    desc.workspace = placed.place(&workspace)->address;
    desc.workspace_bytes = support.workspace_bytes;
  }
  return finished(stream_, placed, flagos_operator_run(stream_, &desc));
}

std::string compare(const HostTensor& result, const std::vector<Number>& expected, Bound bound,
                    const std::vector<Number>& scale, std::int64_t terms) {
  const DType dtype = result.dtype();
  const Number unit = ulp_at(dtype == DType::f64 ? DType::f64 : DType::f32, 1);
  const Number depth =
      std::max<Number>(std::log2(static_cast<Number>(std::max<std::int64_t>(terms, 2))), 1);
  for (std::int64_t i = 0; i < result.elements(); ++i) {
    const Number found = result.get(i), wanted = expected.at(static_cast<std::size_t>(i));
    const Number nearest = rounded(dtype, wanted);
    if (found == nearest || (std::isnan(found) && std::isnan(nearest))) continue;
    Number allowed = is_floating(dtype) ? bound.ulp * ulp_at(dtype, wanted) : 0;
    if (!scale.empty()) allowed += bound.sum * unit * depth * scale[static_cast<std::size_t>(i)];
    if (bound.sum != 0 || bound.ulp != 0) {
      // The result is rounded to the type once more.
      if (dtype == DType::f16 || dtype == DType::bf16) allowed += ulp_at(dtype, wanted) / 2;
      if (std::fabs(found - wanted) <= allowed) continue;
    }
    char text[256];
    std::snprintf(
        text, sizeof(text),
        "element %lld of %lld is %.18Lg, and %.18Lg is expected (%.3Lg ulp off, %.3Lg allowed)",
        static_cast<long long>(i), static_cast<long long>(result.elements()), found, wanted,
        std::fabs(found - wanted) / ulp_at(dtype, wanted), allowed / ulp_at(dtype, wanted));
    return text;
  }
  return "";
}

}  // namespace flagos::ops::testing
