#include "ops/call.hpp"

#include <algorithm>
#include <cstring>

#include "ops/operator.hpp"

namespace flagos::ops {
namespace {

constexpr bool fits(std::int64_t a, std::int64_t b, std::int64_t& out) {
  return !__builtin_mul_overflow(a, b, &out);
}

}  // namespace

Call::Call(const Operator& op, flagos_stream_t* stream,
           std::span<const flagos_ops_argument_t> arguments)
    : op_(op), stream_(stream), device_(Device::of(stream)) {
  const std::vector<Parameter>& parameters = op.schema().parameters;
  if (arguments.size() != parameters.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{}: {} arguments were given, and it takes {}: {}",
                op.name(), arguments.size(), parameters.size(), op.schema_text());
  std::size_t count = 0;
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (parameters[i].kind == Parameter::Kind::tensor)
      count += parameters[i].list ? arguments[i].count : 1;
  if (count > few_.capacity()) {
    many_.resize(count);
    tensors_ = many_;
  } else {
    few_.resize(count);
    tensors_ = {few_.data(), count};
  }
  values_.resize(parameters.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) read(i, arguments[i]);
}

Key Call::key() const { return Key(op_.index()); }

void Call::refuse_text(std::size_t i, flagos_status_t status, const std::string& text) const {
  throw Error(status, fmt::format("{}: {} {}", op_.name(), op_.schema().parameters[i].name, text));
}

void Call::read(std::size_t i, const flagos_ops_argument_t& argument) {
  using Kind = Parameter::Kind;
  const Parameter& parameter = op_.schema().parameters[i];
  Value& value = values_[i];
  const auto* const pointer =
      reinterpret_cast<const void*>(static_cast<std::uintptr_t>(argument.value));
  if (parameter.list) {
    value.count = argument.count;
    value.present = argument.count != 0;
    if (pointer == nullptr && argument.count != 0)
      refuse(i, "is NULL, and has {} elements", argument.count);
    if (parameter.kind == Kind::integer) {
      value.list = static_cast<const std::int64_t*>(pointer);
      if (argument.count > max_rank)
        refuse(i, "has {} numbers; {} are the most", argument.count, max_rank);
      return;
    }
    value.tensor = tensor_count_;
    for (std::uint32_t k = 0; k < argument.count; ++k)
      read_tensor(i, static_cast<const flagos_tensor_t* const*>(pointer)[k]);
    return;
  }
  const bool by_address =
      parameter.kind == Kind::tensor || parameter.kind == Kind::scalar || parameter.optional;
  value.present = !by_address || pointer != nullptr;
  if (!value.present && parameter.kind != Kind::word) {
    if (!parameter.optional && parameter.default_text.empty()) refuse(i, "is NULL");
    if (parameter.kind == Kind::scalar && !parameter.optional) {  // its default
      const bool real = parameter.default_text.find('.') != std::string::npos;
      value = {true,
               0,
               0,
               real ? DType::f64 : DType::i64,
               std::atoll(parameter.default_text.c_str()),
               std::atof(parameter.default_text.c_str()),
               0,
               nullptr};
    }
    if (parameter.kind == Kind::tensor) value.tensor = tensor_count_++;
    return;
  }
  switch (parameter.kind) {
    case Kind::tensor:
      value.tensor = tensor_count_;
      return read_tensor(i, static_cast<const flagos_tensor_t*>(pointer));
    case Kind::integer:
      value.integer = parameter.optional ? *static_cast<const std::int64_t*>(pointer)
                                         : static_cast<std::int64_t>(argument.value);
      return;
    case Kind::real:
      if (parameter.optional) {
        value.real = *static_cast<const double*>(pointer);
      } else {
        std::memcpy(&value.real, &argument.value, sizeof(value.real));
      }
      return;
    case Kind::boolean:
      value.integer = static_cast<std::int64_t>(argument.value);
      if (argument.value > 1) refuse(i, "is {}; 0 and 1 are allowed", argument.value);
      return;
    case Kind::scalar:
      return read_scalar(i, static_cast<const flagos_scalar_t*>(pointer));
    case Kind::word: {
      if (pointer == nullptr) return;  // the first
      const std::string_view word(static_cast<const char*>(pointer));
      const auto found = std::find(parameter.words.begin(), parameter.words.end(), word);
      if (found == parameter.words.end())
        refuse(i, "is '{}'; known are {}", word, fmt::join(parameter.words, ", "));
      value.integer = found - parameter.words.begin();
      return;
    }
  }
}

void Call::read_scalar(std::size_t i, const flagos_scalar_t* scalar) {
  Value& value = values_[i];
  switch (scalar->dtype) {
    case FLAGOS_DTYPE_FLOAT64:
      value.dtype = DType::f64;
      std::memcpy(&value.real, &scalar->bits, sizeof(value.real));
      return;
    case FLAGOS_DTYPE_BOOL:
    case FLAGOS_DTYPE_INT64:
      value.dtype = scalar->dtype == FLAGOS_DTYPE_BOOL ? DType::boolean : DType::i64;
      value.integer = static_cast<std::int64_t>(scalar->bits);
      value.real = static_cast<double>(value.integer);
      return;
    case FLAGOS_DTYPE_COMPLEX64: {
      float parts[2];
      std::memcpy(parts, &scalar->bits, sizeof(parts));
      value.dtype = DType::c64;
      value.real = parts[0];
      value.imaginary = parts[1];
      has_complex_number_ = true;
      return;
    }
    default:
      refuse(i, "is a number of {}; bool, int64, float64 and complex64 are allowed",
             dtype_text(scalar->dtype));
  }
}

void Call::read_tensor(std::size_t i, const flagos_tensor_t* given) {
  const Parameter& parameter = op_.schema().parameters[i];
  if (given == nullptr) refuse(i, "holds NULL");
  if (given->struct_size < sizeof(flagos_tensor_t))
    refuse_text(i, FLAGOS_STATUS_INVALID_STRUCT_SIZE,
                fmt::format("has struct_size {}, and {} is needed", given->struct_size,
                            sizeof(flagos_tensor_t)));
  Tensor& tensor = tensors_[tensor_count_++];
  if (!from_abi(given->dtype, tensor.dtype))
    refuse(i, "is of {}, which operators do not know", dtype_text(given->dtype));
  if (given->rank > max_rank) refuse(i, "is of rank {}; {} is the most", given->rank, max_rank);
  if (given->rank != 0 && given->shape == nullptr)
    refuse(i, "is of rank {}, and its shape is NULL", given->rank);
  if (parameter.output && (given->flags & FLAGOS_TENSOR_FLAG_READ_ONLY) != 0)
    refuse(i, "is read-only");
  tensor.address = given->address;
  tensor.rank = static_cast<int>(given->rank);
  std::int64_t step = 1, bytes = size_of(tensor.dtype);
  for (int axis = tensor.rank; axis-- > 0;) {
    const std::int64_t extent = given->shape[axis];
    if (extent < 0) refuse(i, "has {} elements along dimension {}", extent, axis);
    const std::int64_t stride = given->strides != nullptr ? given->strides[axis] : step;
    tensor.shape[axis] = extent;
    tensor.strides[axis] = stride;
    std::int64_t reach = 0;
    if (!fits(step, extent > 0 ? extent : 1, step) || !fits(stride, extent, reach) ||
        !fits(reach, static_cast<std::int64_t>(sizeof(double) * max_rank), reach) ||
        !fits(step, bytes, reach))
      refuse(i, "of shape {} does not fit into 64 bits",
             shape_text({given->shape, static_cast<std::size_t>(given->rank)}));
  }
  switch (parameter.elements) {
    case Parameter::Elements::boolean:
      if (tensor.dtype != DType::boolean && tensor.dtype != DType::u8)
        refuse(i, "is of {}; bool is needed", dtype_name(tensor.dtype));
      break;
    case Parameter::Elements::integer:
      if (!indices.has(tensor.dtype))
        refuse(i, "is of {}; {} is needed", dtype_name(tensor.dtype), indices.text());
      break;
    case Parameter::Elements::any:
      break;
  }
  if (parameter.output) {
    for (int axis = 0; axis < tensor.rank; ++axis)
      if (tensor.strides[axis] == 0 && tensor.shape[axis] > 1)
        refuse(i, "is written, and its elements along dimension {} share one place (stride 0)",
               axis);
  }
  check_memory(i, tensor);
}

void Call::check_memory(std::size_t i, const Tensor& tensor) const {
  if (tensor.elements() == 0) return;
  const Tensor::Range range = tensor.range();
  if (tensor.address == 0) refuse(i, "has {} elements, and its address is 0", tensor.elements());
  if (tensor.address % size_of(tensor.dtype) != 0)
    refuse(i, "is at {:#x}, which is not aligned for {}", tensor.address, dtype_name(tensor.dtype));
  flagos_memory_info_t info;
  info.struct_size = sizeof(info);
  expect(flagos_memory_get_info(device_->handle(), tensor.address, &info));
  if (info.kind == FLAGOS_MEMORY_KIND_UNKNOWN) {
    if ((device_->info().capabilities & FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS) == 0)
      refuse(i, "at {:#x} is no memory of device {}", tensor.address, device_->info().id);
    return;
  }
  if (range.low < info.base || range.high > info.base + info.size_bytes || range.high < range.low)
    refuse(i,
           "of shape {} reaches {} bytes from its start, and leaves its allocation of {} bytes (at "
           "offset {})",
           tensor.shape_text(), range.high - tensor.address, info.size_bytes,
           tensor.address - info.base);
}

int Call::checked_dim(std::size_t i, std::int64_t dim, int rank) const {
  const int axes = std::max(rank, 1);
  if (dim < -axes || dim >= axes)
    refuse(i, "is {}; a tensor of rank {} has {} to {}", dim, rank, -axes, axes - 1);
  return static_cast<int>(dim < 0 ? dim + axes : dim);
}

std::uint32_t Call::dims(std::size_t i, int rank) const {
  std::uint32_t bits = 0;
  for (const std::int64_t given : integers(i)) {
    const std::uint32_t bit = 1U << checked_dim(i, given, rank);
    if ((bits & bit) != 0) refuse(i, "names dimension {} twice", given);
    bits |= bit;
  }
  return bits != 0 ? bits : (1U << std::max(rank, 1)) - 1;
}

void Call::expect_shape(std::size_t i, std::span<const std::int64_t> shape) const {
  if (!same_shape(tensor(i).dims(), shape))
    refuse(i, "is of shape {}, and {} is needed", tensor(i).shape_text(), shape_text(shape));
}

void Call::expect_dtype(std::size_t i, DTypes allowed) const {
  if (!allowed.has(tensor(i).dtype))
    refuse(i, "is of {}; allowed are {}", dtype_name(tensor(i).dtype), allowed.text());
}

void Call::expect_same_dtype(std::size_t i, std::size_t other) const {
  if (tensor(i).dtype != tensor(other).dtype)
    refuse(i, "is of {}, and {} is of {}", dtype_name(tensor(i).dtype),
           op_.schema().parameters[other].name, dtype_name(tensor(other).dtype));
}

void Call::expect_rank(std::size_t i, int low, int high) const {
  if (tensor(i).rank < low || tensor(i).rank > high)
    refuse(i, "is of rank {}; {}", tensor(i).rank,
           low == high ? fmt::format("{} is needed", low)
                       : fmt::format("{} to {} are allowed", low, high));
}

void Call::expect_no_overlap(std::size_t output, bool in_place) const {
  const Tensor& out = tensor(output);
  const Tensor::Range written = out.range();
  const std::vector<Parameter>& parameters = op_.schema().parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (i == output || parameters[i].kind != Parameter::Kind::tensor || !values_[i].present)
      continue;
    for (std::uint32_t k = 0; k < std::max(values_[i].count, 1U); ++k) {
      const Tensor& in = tensors_[values_[i].tensor + k];
      const Tensor::Range read = in.range();
      if (read.low >= written.high || written.low >= read.high) continue;
      if (in_place && !parameters[i].output && in.address == out.address && in.dtype == out.dtype &&
          same_shape(in.dims(), out.dims()) && in.strides == out.strides)
        continue;
      // Elements that lie between each other, as in x[::2] and x[1::2], cannot be told apart cheaply, and are allowed.
      if (in_place && !parameters[i].output && !(in.is_dense() && out.is_dense())) continue;
      refuse(i, "lies over a part of {}, which is written", parameters[output].name);
    }
  }
}

}  // namespace flagos::ops
