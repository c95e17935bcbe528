/*
 * flagos/tile_twin.hpp: the calls of the dialect tile-c on an ordinary processor. C++17, the standard library alone.
 *
 * A chip whose kernels are written as calls on its own memory gets a header of the same names, and TK_HEADER names it
 * when a printed kernel is compiled. This one says what each call does, and runs it: docs/add-a-dialect.md.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FLAGOS_TILE_TWIN_HPP
#define FLAGOS_TILE_TWIN_HPP

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <type_traits>
#include <vector>

typedef bool i1;
typedef std::int8_t i8;
typedef std::int16_t i16;
typedef std::int32_t i32;
typedef std::int64_t i64;
typedef std::uint8_t u8;
typedef std::uint16_t u16;
typedef std::uint32_t u32;
typedef std::uint64_t u64;
typedef float f32;
typedef double f64;
enum class f16 : u16 {};
enum class bf16 : u16 {};
enum class f8e4m3 : u8 {};
enum class f8e5m2 : u8 {};

/* ---- scalars: what all dialects share ---- */

#define FN static inline
#define to_i32(x) static_cast<i32>(x)
#define to_u32(x) static_cast<u32>(x)
#define to_i64(x) static_cast<i64>(x)
#define to_u64(x) static_cast<u64>(x)
#define to_f32(x) static_cast<f32>(x)
#define to_f64(x) static_cast<f64>(x)
#define U64(high, low) ((static_cast<u64>(static_cast<u32>(high)) << 32) | static_cast<u32>(low))
template <class To, class From>
inline To tk_bits(From x) {
  static_assert(sizeof(To) == sizeof(From), "of one size");
  To y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}
inline u32 bits_f32(f32 x) { return tk_bits<u32>(x); }
inline f32 f32_bits(u32 x) { return tk_bits<f32>(x); }
inline u64 bits_f64(f64 x) { return tk_bits<u64>(x); }
inline f64 f64_bits(u64 x) { return tk_bits<f64>(x); }
template <class T>
inline T strict_add(T a, T b) {
  return a + b;
}
#define strict_add_f32 strict_add<f32>
#define strict_add_f64 strict_add<f64>
#define strict_sub_f32(a, b) strict_add<f32>(a, -(b))
#define strict_sub_f64(a, b) strict_add<f64>(a, -(b))
inline f32 strict_mul_f32(f32 a, f32 b) { return a * b; }
inline f64 strict_mul_f64(f64 a, f64 b) { return a * b; }

/* ---- elements: narrow floating-point numbers are computed in f32 ---- */

template <class T>
struct tk_format {
  static constexpr bool narrow = false;
  static constexpr int exponent = sizeof(T) == 8 ? 11 : 8, mantissa = sizeof(T) == 8 ? 52 : 23;
  static constexpr bool infinity = true;
};
template <int E, int M, bool I>
struct tk_narrow {
  static constexpr bool narrow = true;
  static constexpr int exponent = E, mantissa = M;
  static constexpr bool infinity = I;
};
template <>
struct tk_format<f16> : tk_narrow<5, 10, true> {};
template <>
struct tk_format<bf16> : tk_narrow<8, 7, true> {};
template <>
struct tk_format<f8e4m3> : tk_narrow<4, 3, false> {};
template <>
struct tk_format<f8e5m2> : tk_narrow<5, 2, true> {};
template <class T>
constexpr bool tk_is_narrow = tk_format<T>::narrow;
template <class T>
constexpr bool tk_is_float = tk_is_narrow<T> || std::is_floating_point<T>::value;

/* The bits of a number, rounded once. */
template <class T>
u64 tk_encode(long double value, bool chop = false, bool saturate = false) {
  typedef tk_format<T> format;
  const u64 sign = static_cast<u64>(std::signbit(value)) << (format::exponent + format::mantissa);
  const u64 m = (u64{1} << format::mantissa) - 1, all = ((u64{1} << format::exponent) - 1) << format::mantissa;
  const u64 infinity = format::infinity ? all : all | m, largest = infinity - 1;
  if (std::isnan(value)) return sign | (format::infinity ? all | (u64{1} << (format::mantissa - 1)) : infinity);
  if (std::isinf(value)) return sign | (saturate ? largest : infinity);
  const long double size = std::fabs(value);
  if (size == 0) return sign;
  int exponent = 0;
  std::frexp(size, &exponent);
  const int lowest = 2 - (1 << (format::exponent - 1));
  const int quantum = std::max(exponent - 1, lowest) - format::mantissa;
  const long double scaled = std::ldexp(size, -quantum);
  const u64 count = static_cast<u64>(chop ? std::trunc(scaled) : std::nearbyint(scaled));
  const u64 bits = (static_cast<u64>(quantum + format::mantissa - lowest) << format::mantissa) + count;
  return sign | (bits > largest ? (chop || saturate ? largest : infinity) : bits);
}
template <class T>
f32 tk_decode(u32 bits) {
  typedef tk_format<T> format;
  const u32 m = (u32{1} << format::mantissa) - 1, all = ((u32{1} << format::exponent) - 1) << format::mantissa;
  const u32 rest = bits & (all | m);
  const bool negative = (bits >> (format::exponent + format::mantissa) & 1) != 0;
  f32 value = 0;
  if (format::infinity ? rest > all : rest == (all | m)) {
    value = std::numeric_limits<f32>::quiet_NaN();
  } else if (format::infinity && rest == all) {
    value = std::numeric_limits<f32>::infinity();
  } else {
    const int exponent = static_cast<int>(rest >> format::mantissa);
    const int lowest = 2 - (1 << (format::exponent - 1));
    value = std::ldexp(static_cast<f32>(exponent != 0 ? (rest & m) | (m + 1) : rest & m),
                       std::max(exponent, 1) - 1 + lowest - format::mantissa);
  }
  return negative ? -value : value;
}

/* An element as what it is computed in, and back. */
template <class T>
auto tk_value(T x) {
  if constexpr (tk_is_narrow<T>)
    return tk_decode<T>(static_cast<u32>(x));
  else
    return x;
}
template <class T, class V>
T tk_put(V value) {
  if constexpr (tk_is_narrow<T>)
    return static_cast<T>(tk_encode<T>(value));
  else
    return static_cast<T>(value);
}
/* An element as the scalar code around the calls holds it: small ones in 32 bits, narrow ones as their bits. */
template <class T>
auto tk_register(T x) {
  if constexpr (tk_is_narrow<T>)
    return static_cast<u32>(x);
  else if constexpr (std::is_same<T, bool>::value || tk_is_float<T> || sizeof(T) == 8)
    return x;
  else if constexpr (std::is_signed<T>::value)
    return static_cast<i32>(x);
  else
    return static_cast<u32>(x);
}
template <class T, class R>
T tk_element(R x) {
  return static_cast<T>(x);
}
template <class T>
auto tk_get(const T* from, i64 i) {
  return tk_register(from[i]);
}
template <class T, class R>
void tk_set(T* to, i64 i, R x) {
  to[i] = tk_element<T>(x);
}

/* ---- programs, memory of the chip ---- */

struct tk_state_t {
  u32 program[3] = {0, 0, 0}, programs[3] = {1, 1, 1};
  int failed = 0;
};
inline tk_state_t& tk_state() {
  static thread_local tk_state_t state;
  return state;
}
#define tk_program(axis) tk_state().program[axis]
#define tk_programs(axis) tk_state().programs[axis]
#define TK_FAIL                     \
  do {                              \
    tk_state().failed = 0x04000002; \
    return;                         \
  } while (false)
#define TK_KERNEL(name, parameters) static void tk_kernel_##name parameters
#define TK_POINTER(type) type*
#define TK_BUFFERS(count) /* how many of a load may be under way: one here */
#define TK_ONCHIP(bytes)                       \
  std::vector<u64> tk_memory((bytes) / 8 + 9); \
  unsigned char* const tk_onchip = tk_align(tk_memory.data())
inline unsigned char* tk_align(void* memory) {
  return reinterpret_cast<unsigned char*>((reinterpret_cast<std::uintptr_t>(memory) + 63) / 64 * 64);
}
/* What a buffer holds before it is written is nothing: here, numbers that no test expects. */
template <class T>
T* tk_tile(unsigned char* memory, i64 count) {
  std::memset(memory, std::is_same<T, bool>::value ? 1 : 0xa5, static_cast<std::size_t>(count) * sizeof(T));
  return reinterpret_cast<T*>(memory);
}
#define TK_TILE(type, name, offset, count) type* const name = tk_tile<type>(tk_onchip + (offset), count)
template <class T>
T tk_argument(u64 bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
#define TK_ARGUMENT(index, type) tk_argument<type>(tk_arguments[index])
#define TK_ENTRY(name, values)                                                                                      \
  extern "C"                                                                                                        \
      __attribute__((visibility("default"))) int flagos_tile_run_##name(const u32* grid, const u64* tk_arguments) { \
    (void)tk_arguments;                                                                                             \
    tk_state() = {};                                                                                                \
    std::copy(grid, grid + 3, tk_state().programs);                                                                 \
    for (u32 z = 0; z < grid[2]; ++z)                                                                               \
      for (u32 y = 0; y < grid[1]; ++y)                                                                             \
        for (u32 x = 0; x < grid[0]; ++x) {                                                                         \
          tk_state().program[0] = x, tk_state().program[1] = y, tk_state().program[2] = z;                          \
          tk_kernel_##name values;                                                                                  \
        }                                                                                                           \
    return tk_state().failed;                                                                                       \
  }

/* ---- elementwise ---- */

template <class F, class O, class... A>
void tk_map(F f, i64 n, O* out, const A*... in) {
  for (i64 i = 0; i < n; ++i) out[i] = tk_put<O>(f(tk_value(in[i])...));
}
template <class T>
constexpr bool tk_is_whole = std::is_integral<T>::value;
#define TK_WRAP(name, sign)                                                  \
  struct tk_op_##name {                                                      \
    template <class T>                                                       \
    T operator()(T a, T b) const {                                           \
      if constexpr (tk_is_whole<T>)                                          \
        return static_cast<T>(static_cast<u64>(a) sign static_cast<u64>(b)); \
      else                                                                   \
        return a sign b;                                                     \
    }                                                                        \
  };
TK_WRAP(add, +)
TK_WRAP(sub, -)
TK_WRAP(mul, *)
#define TK_BITS(name, sign)            \
  struct tk_op_##name {                \
    template <class T>                 \
    T operator()(T a, T b) const {     \
      return static_cast<T>(a sign b); \
    }                                  \
  };
TK_BITS(and, &)
TK_BITS(or, |)
TK_BITS(xor, ^)
#define TK_CHOOSE(name, less, ignore)                             \
  struct tk_op_##name {                                           \
    template <class T>                                            \
    T operator()(T a, T b) const {                                \
      if constexpr (!tk_is_whole<T>) {                            \
        if (std::isnan(a)) return ignore ? b : a;                 \
        if (std::isnan(b)) return ignore ? a : b;                 \
        if (a == b) return std::signbit(a) == (1 less 2) ? a : b; \
      }                                                           \
      return a less b ? a : b;                                    \
    }                                                             \
  };
TK_CHOOSE(min, <, false)
TK_CHOOSE(max, >, false)
TK_CHOOSE(min_ignore, <, true)
TK_CHOOSE(max_ignore, >, true)

template <bool FLOOR, class T>
T tk_divide(T a, T b) {
  if constexpr (!tk_is_whole<T>) {
    return a / b;
  } else {
    if (b == 0) return 0;
    if constexpr (std::is_signed<T>::value) {
      if (b == -1) return static_cast<T>(0 - static_cast<u64>(a));
      return static_cast<T>(a / b - (FLOOR && a % b != 0 && (a < 0) != (b < 0)));
    } else {
      return static_cast<T>(a / b);
    }
  }
}
template <bool FLOOR, class T>
T tk_rest(T a, T b) {
  if constexpr (!tk_is_whole<T>) {
    const T rest = std::fmod(a, b);
    if (!FLOOR || std::isnan(rest)) return rest;
    if (rest == 0) return std::copysign(T{0}, b);
    return std::signbit(rest) != std::signbit(b) ? rest + b : rest;
  } else {
    if (b == 0) return a;
    if constexpr (std::is_signed<T>::value) {
      if (b == -1) return 0;
      const T rest = static_cast<T>(a % b);
      return static_cast<T>(FLOOR && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    } else {
      return static_cast<T>(a % b);
    }
  }
}
struct tk_op_div {
  template <class T>
  T operator()(T a, T b) const {
    return tk_divide<false>(a, b);
  }
};
struct tk_op_floor_div {
  template <class T>
  T operator()(T a, T b) const {
    return tk_divide<true>(a, b);
  }
};
struct tk_op_rem {
  template <class T>
  T operator()(T a, T b) const {
    return tk_rest<false>(a, b);
  }
};
struct tk_op_floor_rem {
  template <class T>
  T operator()(T a, T b) const {
    return tk_rest<true>(a, b);
  }
};
struct tk_op_shl {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<u64>(b) >= sizeof(T) * 8 ? T{0} : static_cast<T>(static_cast<u64>(a) << static_cast<u64>(b));
  }
};
struct tk_op_shr {
  template <class T>
  T operator()(T a, T b) const {
    if (static_cast<u64>(b) >= sizeof(T) * 8) return a < T{0} ? static_cast<T>(-1) : T{0};
    return static_cast<T>(a >> b);
  }
};
struct tk_op_mulhi {
  template <class T>
  T operator()(T a, T b) const {
    __extension__ typedef std::conditional_t<std::is_signed<T>::value, __int128, unsigned __int128> wide;
    return static_cast<T>(static_cast<wide>(a) * static_cast<wide>(b) >> (sizeof(T) * 8));
  }
};
#define TK_BINARY(name)                                   \
  template <class T>                                      \
  void tk_##name(T* out, const T* a, const T* b, i64 n) { \
    tk_map(tk_op_##name{}, n, out, a, b);                 \
  }
TK_BINARY(add)
TK_BINARY(sub)
TK_BINARY(mul)
TK_BINARY(div)
TK_BINARY(floor_div)
TK_BINARY(rem)
TK_BINARY(floor_rem)
TK_BINARY(min)
TK_BINARY(max)
TK_BINARY(min_ignore)
TK_BINARY(max_ignore)
TK_BINARY(and)
TK_BINARY(or)
TK_BINARY(xor)
TK_BINARY(shl)
TK_BINARY(shr)
TK_BINARY(mulhi)
#define TK_COMPARE(name, sign)                                     \
  template <class T>                                               \
  void tk_##name(bool* out, const T* a, const T* b, i64 n) {       \
    tk_map([](auto x, auto y) { return x sign y; }, n, out, a, b); \
  }
TK_COMPARE(eq, ==)
TK_COMPARE(ne, !=)
TK_COMPARE(lt, <)
TK_COMPARE(le, <=)
TK_COMPARE(gt, >)
TK_COMPARE(ge, >=)
template <class T>
void tk_neg(T* out, const T* a, i64 n) {
  tk_map(
      [](auto x) {
        if constexpr (tk_is_whole<decltype(x)>)
          return static_cast<decltype(x)>(0 - static_cast<u64>(x));
        else
          return -x;
      },
      n, out, a);
}
template <class T>
void tk_abs(T* out, const T* a, i64 n) {
  tk_map(
      [](auto x) {
        if constexpr (tk_is_whole<decltype(x)>)
          return static_cast<decltype(x)>(x < 0 ? 0 - static_cast<u64>(x) : static_cast<u64>(x));
        else
          return std::fabs(x);
      },
      n, out, a);
}
template <class T>
void tk_not(T* out, const T* a, i64 n) {
  tk_map(
      [](auto x) {
        if constexpr (std::is_same<decltype(x), bool>::value)
          return !x;
        else
          return static_cast<decltype(x)>(~x);
      },
      n, out, a);
}
template <class T>
void tk_fma(T* out, const T* a, const T* b, const T* c, i64 n) {
  tk_map(
      [](auto x, auto y, auto z) {
        typedef decltype(x) V;
        if constexpr (tk_is_whole<V>)
          return static_cast<V>(static_cast<u64>(x) * static_cast<u64>(y) + static_cast<u64>(z));
        else
          return std::fma(x, y, z);
      },
      n, out, a, b, c);
}
template <class T>
void tk_clamp(T* out, const T* a, const T* b, const T* c, i64 n) {
  tk_map([](auto x, auto y, auto z) { return tk_op_min{}(tk_op_max{}(x, y), z); }, n, out, a, b, c);
}
template <class T>
void tk_clamp_ignore(T* out, const T* a, const T* b, const T* c, i64 n) {
  tk_map([](auto x, auto y, auto z) { return tk_op_min_ignore{}(tk_op_max_ignore{}(x, y), z); }, n, out, a, b, c);
}
#define TK_FUNCTION(name, text)                                    \
  template <class T>                                               \
  T tk_scalar_##name(T x) {                                        \
    return static_cast<T>(text);                                   \
  }                                                                \
  template <class T>                                               \
  void tk_##name(T* out, const T* a, i64 n) {                      \
    tk_map([](auto x) { return tk_scalar_##name(x); }, n, out, a); \
  }
TK_FUNCTION(exp, std::exp(x))
TK_FUNCTION(exp2, std::exp2(x))
TK_FUNCTION(log, std::log(x))
TK_FUNCTION(log2, std::log2(x))
TK_FUNCTION(log1p, std::log1p(x))
TK_FUNCTION(expm1, std::expm1(x))
TK_FUNCTION(sqrt, std::sqrt(x))
TK_FUNCTION(rsqrt, 1 / std::sqrt(x))
TK_FUNCTION(rcp, 1 / x)
TK_FUNCTION(sin, std::sin(x))
TK_FUNCTION(cos, std::cos(x))
TK_FUNCTION(tan, std::tan(x))
TK_FUNCTION(asin, std::asin(x))
TK_FUNCTION(acos, std::acos(x))
TK_FUNCTION(atan, std::atan(x))
TK_FUNCTION(sinh, std::sinh(x))
TK_FUNCTION(cosh, std::cosh(x))
TK_FUNCTION(tanh, std::tanh(x))
TK_FUNCTION(erf, std::erf(x))
TK_FUNCTION(floor, std::floor(x))
TK_FUNCTION(ceil, std::ceil(x))
TK_FUNCTION(trunc, std::trunc(x))
TK_FUNCTION(rint, std::nearbyint(x))
template <class T>
T tk_scalar_pow(T x, T y) {
  return std::pow(x, y);
}
template <class T>
T tk_scalar_atan2(T y, T x) {
  return std::atan2(y, x);
}
template <class T>
T tk_scalar_rem(T x, T y) {
  return std::fmod(x, y);
}
template <class T>
T tk_scalar_fma(T x, T y, T z) {
  return std::fma(x, y, z);
}
template <class T>
void tk_pow(T* out, const T* a, const T* b, i64 n) {
  tk_map([](auto x, auto y) { return std::pow(x, y); }, n, out, a, b);
}
template <class T>
void tk_atan2(T* out, const T* a, const T* b, i64 n) {
  tk_map([](auto x, auto y) { return std::atan2(x, y); }, n, out, a, b);
}
template <class T>
void tk_isnan(bool* out, const T* a, i64 n) {
  tk_map([](auto x) { return std::isnan(x); }, n, out, a);
}
template <class T>
void tk_isinf(bool* out, const T* a, i64 n) {
  tk_map([](auto x) { return std::isinf(x); }, n, out, a);
}

template <class T, class R>
void tk_full(T* out, R x, i64 n) {
  std::fill(out, out + n, tk_element<T>(x));
}
template <class T>
void tk_range(T* out, u64 start, i64 n) {
  for (i64 i = 0; i < n; ++i) out[i] = static_cast<T>(start + static_cast<u64>(i));
}
template <class T>
void tk_copy(T* out, const T* in, i64 n) {
  std::copy(in, in + n, out);
}
template <class T>
void tk_select(T* out, const bool* c, const T* a, const T* b, i64 n) {
  for (i64 i = 0; i < n; ++i) out[i] = c[i] ? a[i] : b[i];
}
template <class T>
void tk_select(T* out, bool c, const T* a, const T* b, i64 n) {
  std::copy(c ? a : b, (c ? a : b) + n, out);
}
inline bool tk_all(const bool* a, i64 n) {
  return std::all_of(a, a + n, [](bool x) { return x; });
}
template <class O, class A>
void tk_bitcast(O* out, const A* in, i64 n) {
  static_assert(sizeof(O) == sizeof(A), "of one size");
  std::memcpy(out, in, static_cast<std::size_t>(n) * sizeof(O));
}
template <class O, class A>
O tk_convert(A element, bool chop, bool saturate) {
  const auto x = tk_value(element);
  typedef decltype(x) X;
  if constexpr (std::is_same<O, A>::value && !tk_is_float<O>) {
    return element;
  } else if constexpr (std::is_same<O, bool>::value) {
    return x != 0;
  } else if constexpr (tk_is_float<O>) {
    if constexpr (std::is_same<O, A>::value) {
      if (!saturate) return element;
    }
    const u64 bits = tk_encode<O>(static_cast<long double>(x), chop, saturate && !std::is_same<O, f64>::value);
    if constexpr (sizeof(O) == 8)
      return tk_bits<O>(bits);
    else if constexpr (sizeof(O) == 4)
      return tk_bits<O>(static_cast<u32>(bits));
    else
      return static_cast<O>(bits);
  } else if constexpr (tk_is_whole<std::remove_const_t<X>>) {
    return static_cast<O>(x);
  } else {
    if (std::isnan(x)) return 0;
    const long double whole = std::trunc(static_cast<long double>(x));
    if (whole >= static_cast<long double>(std::numeric_limits<O>::max())) return std::numeric_limits<O>::max();
    if (whole <= static_cast<long double>(std::numeric_limits<O>::min())) return std::numeric_limits<O>::min();
    return static_cast<O>(whole);
  }
}
#define TK_CAST(name, chop, saturate)                                          \
  template <class O, class A>                                                  \
  void tk_##name(O* out, const A* in, i64 n) {                                 \
    for (i64 i = 0; i < n; ++i) out[i] = tk_convert<O>(in[i], chop, saturate); \
  }
TK_CAST(cast, false, false)
TK_CAST(cast_toward_zero, true, false)
TK_CAST(cast_saturate, false, true)
TK_CAST(cast_toward_zero_saturate, true, true)

/* ---- shapes ---- */

typedef std::initializer_list<i64> tk_list;
/* Calls f(element, where it lies) for the elements of a block of a strided array. */
template <class F>
void tk_walk(tk_list dims, const i64* strides, i64 start, F f) {
  i64 index[6] = {}, count = 1, rank = static_cast<i64>(dims.size());
  for (const i64 extent : dims) count *= extent;
  for (i64 i = 0; i < count; ++i) {
    i64 at = start;
    for (i64 axis = 0; axis < rank; ++axis) at += index[axis] * strides[axis];
    f(i, at, static_cast<const i64*>(index));
    for (i64 axis = rank; axis-- > 0;) {
      if (++index[axis] < dims.begin()[axis]) break;
      index[axis] = 0;
    }
  }
}
template <class T>
void tk_strided(T* out, const T* in, tk_list dims, tk_list strides, i64 start) {
  tk_walk(dims, strides.begin(), start, [&](i64 i, i64 at, const i64*) { out[i] = in[at]; });
}
template <class T>
void tk_place(T* out, const T* in, i64 step, i64 start, i64 n) {
  for (i64 i = 0; i < n; ++i) out[start + i * step] = in[i];
}

/* ---- memory ---- */

struct tk_view {
  int rank;
  i64 extents[6], strides[6];
};
template <class T, class P>
T* tk_find(P* pointer, const tk_view& view, const i64* index) {
  u64 offset = 0;
  for (int axis = 0; axis < view.rank; ++axis) {
    if (index[axis] < 0 || index[axis] >= view.extents[axis]) return nullptr;
    offset += static_cast<u64>(index[axis]) * static_cast<u64>(view.strides[axis]);
  }
  return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(pointer) + offset * sizeof(T));
}
template <class T>
T tk_read(const T* at) {
  if constexpr (std::is_same<T, bool>::value)
    return *reinterpret_cast<const unsigned char*>(at) != 0;
  else
    return *at;
}
template <class T, class F>
void tk_block(T* pointer, const tk_view& view, tk_list corner, tk_list dims, F f) {
  static const i64 none[6] = {};
  tk_walk(dims, none, 0, [&](i64 i, i64, const i64* local) {
    i64 index[6] = {};
    for (int axis = 0; axis < view.rank; ++axis)
      index[axis] = static_cast<i64>(static_cast<u64>(corner.begin()[axis]) + static_cast<u64>(local[axis]));
    f(i, tk_find<T>(pointer, view, index));
  });
}
template <class T, class R>
void tk_load(T* out, const T* pointer, const tk_view& view, tk_list corner, tk_list dims, R pad) {
  tk_block(pointer, view, corner, dims, [&](i64 i, const T* at) { out[i] = at ? tk_read(at) : tk_element<T>(pad); });
}
template <class T>
void tk_store(T* pointer, const tk_view& view, tk_list corner, const T* in, tk_list dims) {
  tk_block(pointer, view, corner, dims, [&](i64 i, T* at) {
    if (at) *at = in[i];
  });
}
template <class I, class... Others>
std::array<const I*, 1 + sizeof...(Others)> tk_indices(const I* first, const Others*... others) {
  return {{first, others...}};
}
template <class T, class Is, class F>
void tk_indexed(T* pointer, const tk_view& view, const Is& indices, const bool* mask, i64 n, F f) {
  for (i64 i = 0; i < n; ++i) {
    i64 index[6] = {};
    for (std::size_t axis = 0; axis < indices.size(); ++axis) index[axis] = indices[axis][i];
    f(i, mask && !mask[i] ? nullptr : tk_find<T>(pointer, view, index));
  }
}
template <class T, class Is, class R>
void tk_gather(T* out, const T* pointer, const tk_view& view, const Is& indices, R pad, const bool* mask, i64 n) {
  tk_indexed(pointer, view, indices, mask, n,
             [&](i64 i, const T* at) { out[i] = at ? tk_read(at) : tk_element<T>(pad); });
}
template <class T, class Is>
void tk_scatter(T* pointer, const tk_view& view, const Is& indices, const T* in, const bool* mask, i64 n) {
  tk_indexed(pointer, view, indices, mask, n, [&](i64 i, T* at) {
    if (at) *at = in[i];
  });
}
template <class T, class R>
auto tk_load_one(const T* pointer, const tk_view& view, tk_list index, R pad, bool mask) {
  const T* at = mask ? tk_find<const T>(pointer, view, index.begin()) : nullptr;
  return tk_register(at ? tk_read(at) : tk_element<T>(pad));
}
template <class T, class R>
void tk_store_one(T* pointer, const tk_view& view, tk_list index, R value, bool mask) {
  T* at = mask ? tk_find<T>(pointer, view, index.begin()) : nullptr;
  if (at) *at = tk_element<T>(value);
}
/* One program runs at a time here: what is atomic elsewhere is a read and a write. */
template <class Op, class T>
T tk_update(T* at, T value) {
  if (!at) return T{};
  const T old = *at;
  *at = tk_put<T>(Op{}(tk_value(old), tk_value(value)));
  return old;
}
struct tk_op_exchange {
  template <class T>
  T operator()(T, T b) const {
    return b;
  }
};
template <class T>
T tk_swap(T* at, T expected, T next) {
  if (!at) return T{};
  const T old = *at;
  if (old == expected) *at = next;
  return old;
}
#define TK_ATOMIC(name)                                                                                              \
  template <class T, class Is>                                                                                       \
  void tk_atomic_##name(T* out, T* pointer, const tk_view& view, const Is& indices, const T* in, const bool* mask,   \
                        i64 n) {                                                                                     \
    tk_indexed(pointer, view, indices, mask, n, [&](i64 i, T* at) { out[i] = tk_update<tk_op_##name>(at, in[i]); }); \
  }                                                                                                                  \
  template <class T, class R>                                                                                        \
  auto tk_atomic_##name##_one(T* pointer, const tk_view& view, tk_list index, R value, bool mask) {                  \
    T* at = mask ? tk_find<T>(pointer, view, index.begin()) : nullptr;                                               \
    return tk_register(tk_update<tk_op_##name>(at, tk_element<T>(value)));                                           \
  }
TK_ATOMIC(add)
TK_ATOMIC(min)
TK_ATOMIC(max)
TK_ATOMIC(and)
TK_ATOMIC(or)
TK_ATOMIC(xor)
TK_ATOMIC(exchange)
template <class T, class Is>
void tk_cas(T* out, T* pointer, const tk_view& view, const Is& indices, const T* expected, const T* next,
            const bool* mask, i64 n) {
  tk_indexed(pointer, view, indices, mask, n, [&](i64 i, T* at) { out[i] = tk_swap(at, expected[i], next[i]); });
}
template <class T, class R>
auto tk_cas_one(T* pointer, const tk_view& view, tk_list index, R expected, R next, bool mask) {
  T* at = mask ? tk_find<T>(pointer, view, index.begin()) : nullptr;
  return tk_register(tk_swap(at, tk_element<T>(expected), tk_element<T>(next)));
}

/* ---- across a tile, which is [outer, extent, inner] ---- */

template <class Op, class T>
void tk_fold(bool scan, bool reverse, T* out, const T* in, i64 outer, i64 extent, i64 inner) {
  for (i64 o = 0; o < outer; ++o) {
    for (i64 n = 0; n < inner; ++n) {
      const auto at = [&](i64 k) { return (o * extent + (reverse ? extent - 1 - k : k)) * inner + n; };
      auto running = tk_value(in[at(0)]);
      if (scan) out[at(0)] = tk_put<T>(running);
      for (i64 k = 1; k < extent; ++k) {
        running = Op{}(running, tk_value(in[at(k)]));
        if (scan) out[at(k)] = tk_put<T>(running);
      }
      if (!scan) out[o * inner + n] = tk_put<T>(running);
    }
  }
}
#define TK_FOLD(name)                                                                        \
  template <class T>                                                                         \
  void tk_reduce_##name(T* out, const T* in, i64 outer, i64 extent, i64 inner) {             \
    tk_fold<tk_op_##name>(false, false, out, in, outer, extent, inner);                      \
  }                                                                                          \
  template <class T>                                                                         \
  void tk_scan_##name(T* out, const T* in, i64 outer, i64 extent, i64 inner, bool reverse) { \
    tk_fold<tk_op_##name>(true, reverse, out, in, outer, extent, inner);                     \
  }
TK_FOLD(add)
TK_FOLD(mul)
TK_FOLD(min)
TK_FOLD(max)
TK_FOLD(min_ignore)
TK_FOLD(max_ignore)
TK_FOLD(and)
TK_FOLD(or)
TK_FOLD(xor)
template <class T>
bool tk_less(T a, T b) {
  const auto x = tk_value(a), y = tk_value(b);
  if constexpr (tk_is_float<T>)
    return std::isnan(y) ? !std::isnan(x) : x < y;
  else
    return x < y;
}
template <class T>
bool tk_no_number(T a) {
  if constexpr (tk_is_float<T>)
    return std::isnan(tk_value(a));
  else
    return (void)a, false;
}
template <class T>
void tk_best(bool least, T* values, i32* indices, const T* in, i64 outer, i64 extent, i64 inner) {
  for (i64 o = 0; o < outer; ++o) {
    for (i64 n = 0; n < inner; ++n) {
      i64 best = 0;
      for (i64 k = 1; k < extent; ++k) {
        const T a = in[(o * extent + k) * inner + n], b = in[(o * extent + best) * inner + n];
        if (!tk_no_number(b) && (tk_no_number(a) || (least ? tk_less(a, b) : tk_less(b, a)))) best = k;
      }
      values[o * inner + n] = in[(o * extent + best) * inner + n];
      indices[o * inner + n] = static_cast<i32>(best);
    }
  }
}
template <class T>
void tk_argreduce_min(T* values, i32* indices, const T* in, i64 outer, i64 extent, i64 inner) {
  tk_best(true, values, indices, in, outer, extent, inner);
}
template <class T>
void tk_argreduce_max(T* values, i32* indices, const T* in, i64 outer, i64 extent, i64 inner) {
  tk_best(false, values, indices, in, outer, extent, inner);
}
inline void tk_permute(const std::vector<i64>&, i64, i64, i64) {}
template <class T, class... Rest>
void tk_permute(const std::vector<i64>& order, i64 first, i64 inner, i64 extent, T* out, const T* in, Rest... rest) {
  for (i64 k = 0; k < extent; ++k) out[first + k * inner] = in[first + order[static_cast<std::size_t>(k)] * inner];
  tk_permute(order, first, inner, extent, rest...);
}
template <class T, class... Rest>
void tk_sort(i64 outer, i64 extent, i64 inner, bool descending, T* out, const T* keys, Rest... rest) {
  std::vector<i64> order(static_cast<std::size_t>(extent));
  for (i64 o = 0; o < outer; ++o) {
    for (i64 n = 0; n < inner; ++n) {
      const i64 first = o * extent * inner + n;
      std::iota(order.begin(), order.end(), i64{0});
      std::stable_sort(order.begin(), order.end(), [&](i64 a, i64 b) {
        const T x = keys[first + a * inner], y = keys[first + b * inner];
        return descending ? tk_less(y, x) : tk_less(x, y);
      });
      tk_permute(order, first, inner, extent, out, keys, rest...);
    }
  }
}
template <class T>
void tk_histogram(i32* out, i64 bins, const T* in, const bool* mask, i64 n) {
  std::fill(out, out + bins, 0);
  for (i64 i = 0; i < n; ++i)
    if ((!mask || mask[i]) && static_cast<u64>(in[i]) < static_cast<u64>(bins)) ++out[static_cast<i64>(in[i])];
}
template <class O, class T>
void tk_dot(O* out, const T* a, const T* b, const O* c, i64 batch, i64 m, i64 depth, i64 n) {
  typedef std::conditional_t<std::is_same<O, i32>::value, u32, O> sum_t;
  for (i64 i = 0; i < batch * m; ++i) {
    for (i64 j = 0; j < n; ++j) {
      sum_t sum = static_cast<sum_t>(c[i * n + j]);
      for (i64 k = 0; k < depth; ++k)
        sum += static_cast<sum_t>(tk_value(a[i * depth + k])) *
               static_cast<sum_t>(tk_value(b[(i / m * depth + k) * n + j]));
      out[i * n + j] = static_cast<O>(sum);
    }
  }
}
inline f32 tk_scale(u8 bits) {
  return bits == 255 ? std::numeric_limits<f32>::quiet_NaN() : std::ldexp(1.0F, static_cast<int>(bits) - 127);
}
template <class A, class B>
void tk_dot_scaled(f32* out, const A* a, const u8* as, const B* b, const u8* bs, const f32* c, i64 m, i64 depth, i64 n,
                   i64 block) {
  for (i64 i = 0; i < m; ++i) {
    for (i64 j = 0; j < n; ++j) {
      f32 sum = c[i * n + j];
      for (i64 k = 0; k < depth; ++k)
        sum += tk_value(a[i * depth + k]) * tk_scale(as[(i * depth + k) / block]) *
               (tk_value(b[k * n + j]) * tk_scale(bs[k / block * n + j]));
      out[i * n + j] = sum;
    }
  }
}
template <class T>
u64 tk_number(const T* x, i64 i) {
  return static_cast<u64>(static_cast<i64>(x[i]));
}
template <class T, class = std::enable_if_t<std::is_integral<T>::value>>
u64 tk_number(T x, i64) {
  return static_cast<u64>(static_cast<i64>(x));
}
template <class S, class O, class T>
void tk_philox(i64 n, S seed, O offset, T stream, u32* a, u32* b, u32* c, u32* d) {
  for (i64 i = 0; i < n; ++i) {
    const u64 at = tk_number(offset, i), of = tk_number(stream, i), key = tk_number(seed, i);
    u32 x[4] = {static_cast<u32>(at), static_cast<u32>(at >> 32), static_cast<u32>(of), static_cast<u32>(of >> 32)};
    u32 k[2] = {static_cast<u32>(key), static_cast<u32>(key >> 32)};
    for (int round = 0; round < 10; ++round) {
      const u64 even = u64{0xD2511F53} * x[0], odd = u64{0xCD9E8D57} * x[2];
      const u32 y[4] = {static_cast<u32>(odd >> 32) ^ x[1] ^ k[0], static_cast<u32>(odd),
                        static_cast<u32>(even >> 32) ^ x[3] ^ k[1], static_cast<u32>(even)};
      std::copy(y, y + 4, x);
      k[0] += 0x9E3779B9U;
      k[1] += 0xBB67AE85U;
    }
    a[i] = x[0], b[i] = x[1], c[i] = x[2], d[i] = x[3];
  }
}

#endif
