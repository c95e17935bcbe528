#include "ops/testing/host_tensor.hpp"

#include <cmath>
#include <cstring>
#include <limits>

namespace flagos::ops::testing {
namespace {

constexpr unsigned char untouched = 0xa5;

// A floating-point type of `digits` bits of mantissa and exponents from `lowest`.
struct Format {
  int digits, lowest;
  Number largest;
};
Format format_of(DType dtype) {
  switch (dtype) {
    case DType::f16:
      return {11, -14, 65504.0L};
    case DType::bf16:
      return {8, -126, 3.3895313892515354759e38L};
    case DType::f64:
      return {53, -1022, std::numeric_limits<double>::max()};
    default:
      return {24, -126, std::numeric_limits<float>::max()};
  }
}

template <typename T>
T as(const unsigned char* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

Number half_value(std::uint16_t bits, int mantissa, int bias) {
  const Number sign = (bits & 0x8000U) != 0 ? -1 : 1;
  const int exponent = (bits & 0x7fffU) >> mantissa;
  const int fraction = bits & ((1 << mantissa) - 1);
  const int most = (0x7fff >> mantissa);
  if (exponent == most)
    return fraction != 0 ? std::numeric_limits<Number>::quiet_NaN()
                         : sign * std::numeric_limits<Number>::infinity();
  if (exponent == 0) return sign * std::ldexp(static_cast<Number>(fraction), 1 - bias - mantissa);
  return sign *
         std::ldexp(static_cast<Number>(fraction + (1 << mantissa)), exponent - bias - mantissa);
}
std::uint16_t half_bits(Number value, int mantissa, int bias) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const int most = 0x7fff >> mantissa;
  if (std::isnan(value))
    return static_cast<std::uint16_t>((most << mantissa) | (1 << (mantissa - 1)));
  const Number size = std::fabs(value);
  if (std::isinf(size)) return static_cast<std::uint16_t>(sign | (most << mantissa));
  if (size == 0) return sign;
  int exponent = std::max(std::ilogb(size) + bias, 1);
  Number units = std::nearbyint(std::ldexp(size, mantissa - (exponent - bias)));  // to even
  auto bits = static_cast<std::int64_t>(units);
  if (bits < (1 << mantissa)) exponent = 0;  // subnormal
  if (bits >= (2 << mantissa)) {
    bits >>= 1;
    ++exponent;
  }
  if (exponent >= most) return static_cast<std::uint16_t>(sign | (most << mantissa));
  return static_cast<std::uint16_t>(sign | (exponent << mantissa) | (bits & ((1 << mantissa) - 1)));
}

}  // namespace

const char* placement_name(Placement placement) {
  constexpr const char* names[] = {"dense", "transposed", "sliced", "broadcast"};
  return names[static_cast<int>(placement)];
}

HostTensor::HostTensor(DType dtype, Shape shape, Placement placement)
    : dtype_(dtype), shape_(std::move(shape)), strides_(shape_.size()) {
  elements_ = 1;
  for (const std::int64_t extent : shape_) elements_ *= extent;
  std::vector<std::size_t> order(shape_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (placement == Placement::transposed && order.size() > 1)
    std::swap(order[order.size() - 1], order[order.size() - 2]);
  std::int64_t step = placement == Placement::sliced ? 2 : 1;
  first_ = 3;  // so that nothing starts where its memory does
  for (std::size_t i = order.size(); i-- > 0;) {
    const std::size_t axis = order[i];
    if (placement == Placement::broadcast && axis == 0) continue;
    strides_[axis] = step;
    if (placement == Placement::sliced) first_ += step / 2;
    step *= std::max<std::int64_t>(shape_[axis], 1) * (placement == Placement::sliced ? 2 : 1);
  }
  bytes_.assign(static_cast<std::size_t>((step + first_ + 3) * size_of(dtype)), untouched);
}

HostTensor HostTensor::of(DType dtype, Shape shape, const std::vector<Number>& values) {
  HostTensor tensor(dtype, std::move(shape));
  tensor.fill([&](std::int64_t i) { return values.at(static_cast<std::size_t>(i)); });
  return tensor;
}

std::uint64_t HostTensor::offset_bytes() const {
  return static_cast<std::uint64_t>(first_) * size_of(dtype_);
}

std::int64_t HostTensor::place(std::int64_t index) const {
  std::int64_t at = first_;
  for (std::size_t axis = shape_.size(); axis-- > 0;) {
    at += index % shape_[axis] * strides_[axis];
    index /= shape_[axis];
  }
  return at * size_of(dtype_);
}

Number HostTensor::get(std::int64_t index) const {
  const unsigned char* const at = bytes_.data() + place(index);
  switch (dtype_) {
    case DType::boolean:
      return *at;
    case DType::u8:
      return *at;
    case DType::i8:
      return as<std::int8_t>(at);
    case DType::i16:
      return as<std::int16_t>(at);
    case DType::i32:
      return as<std::int32_t>(at);
    case DType::i64:
      return as<std::int64_t>(at);
    case DType::f16:
      return half_value(as<std::uint16_t>(at), 10, 15);
    case DType::bf16:
      return half_value(as<std::uint16_t>(at), 7, 127);
    case DType::f64:
      return as<double>(at);
    default:
      return as<float>(at);
  }
}

void HostTensor::set(std::int64_t index, Number value) {
  unsigned char* const at = bytes_.data() + place(index);
  const auto put = [&](auto bits) { std::memcpy(at, &bits, sizeof(bits)); };
  const auto whole = [&] {  // wraps
    const Number wrapped = std::fmod(std::trunc(value), 0x1p64L);
    return static_cast<std::uint64_t>(wrapped < 0 ? wrapped + 0x1p64L : wrapped);
  };
  switch (dtype_) {
    case DType::boolean:
      return put(static_cast<std::uint8_t>(value != 0));
    case DType::u8:
    case DType::i8:
      return put(static_cast<std::uint8_t>(whole()));
    case DType::i16:
      return put(static_cast<std::uint16_t>(whole()));
    case DType::i32:
      return put(static_cast<std::uint32_t>(whole()));
    case DType::i64:
      return put(whole());
    case DType::f16:
      return put(half_bits(value, 10, 15));
    case DType::bf16:
      return put(half_bits(value, 7, 127));
    case DType::f64:
      return put(static_cast<double>(value));
    default:
      return put(static_cast<float>(value));
  }
}

std::vector<Number> HostTensor::values() const {
  std::vector<Number> out;
  for (std::int64_t i = 0; i < elements_; ++i) out.push_back(get(i));
  return out;
}

void HostTensor::fill(const std::function<Number(std::int64_t)>& value) {
  for (std::int64_t i = 0; i < elements_; ++i) set(i, value(i));
}

void HostTensor::fill_random(std::mt19937_64& random, double low, double high, bool whole) {
  fill([&](std::int64_t) {
    // Not std::uniform_real_distribution, which differs between libraries.
    const double unit = static_cast<double>(random() >> 11) * 0x1p-53;
    // With the digits of a float, so that products of two are exact in the reference.
    const double value = static_cast<float>(low + unit * (high - low));
    return whole || !is_floating(dtype_) ? std::nearbyint(value) : value;
  });
}

std::int64_t HostTensor::strayed(const std::vector<unsigned char>& before) const {
  std::vector<bool> own(bytes_.size());
  for (std::int64_t i = 0; i < elements_; ++i)
    for (std::uint32_t byte = 0; byte < size_of(dtype_); ++byte)
      own[static_cast<std::size_t>(place(i) + byte)] = true;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < bytes_.size(); ++i)
    count += static_cast<std::int64_t>(!own[i] && bytes_[i] != before[i]);
  return count;
}

Number rounded(DType dtype, Number value) {
  HostTensor one(dtype, {});
  one.set(0, value);
  return one.get(0);
}

Number ulp_at(DType dtype, Number value) {
  if (!is_floating(dtype)) return 1;
  const Format format = format_of(dtype);
  const Number size = std::min(std::fabs(value), format.largest);
  const int exponent = size == 0 ? format.lowest : std::max(std::ilogb(size), format.lowest);
  return std::ldexp(1.0L, exponent - format.digits + 1);
}

}  // namespace flagos::ops::testing
