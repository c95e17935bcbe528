// The loops of reductions, compiled once for each instruction set. Blocks of a few hundred elements stay in the first cache
// while the sources are added to them one by one; the compiler makes vectors of every inner loop.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/reduce/reduce.hpp"

#ifndef FLAGOS_REDUCE_LOOPS
#define FLAGOS_REDUCE_LOOPS reduce_baseline
#endif

namespace flagos {
namespace {

constexpr std::uint64_t block = 512;

// ---- element types: how they are stored, and in what they are computed ----------------------------------------------

template <typename T>
struct Plain {
  using Stored = T;
  using Value = T;
  static Value load(Stored stored) { return stored; }
  static Stored store(Value value) { return value; }
};

struct Bool {
  using Stored = std::uint8_t;
  using Value = std::uint8_t;
  static Value load(Stored stored) { return stored != 0; }
  static Stored store(Value value) { return value != 0; }
};

struct Half {
  using Stored = std::uint16_t;
  using Value = float;
  static Value load(Stored stored) {
    const std::uint32_t sign = static_cast<std::uint32_t>(stored & 0x8000U) << 16;
    const std::uint32_t rest = static_cast<std::uint32_t>(stored & 0x7fffU) << 13;
    // The exponent is moved by a product, which also makes subnormal numbers normal.
    const float moved = std::bit_cast<float>(rest) * 0x1p112F;
    const std::uint32_t special = (stored & 0x7c00U) == 0x7c00U ? 0x7f800000U : 0U;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(moved) | special | sign);
  }
  static Stored store(Value value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000U;
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    // Normal numbers: round to nearest, ties to even, by an integer sum; small ones by the sum with 0.5 as float.
    const std::uint32_t normal = (magnitude + 0xc8000fffU + ((magnitude >> 13) & 1U)) >> 13;
    const std::uint32_t small = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3f000000U;
    std::uint32_t result = magnitude < 0x38800000U ? small : normal;
    result = magnitude >= 0x477ff000U ? 0x7c00U : result;
    result = magnitude > 0x7f800000U ? 0x7e00U : result;
    return static_cast<Stored>(result | sign);
  }
};

struct BFloat {
  using Stored = std::uint16_t;
  using Value = float;
  static Value load(Stored stored) { return std::bit_cast<float>(static_cast<std::uint32_t>(stored) << 16); }
  static Stored store(Value value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    return static_cast<Stored>((bits & 0x7fffffffU) > 0x7f800000U ? ((bits >> 16) & 0x8000U) | 0x7fc0U : rounded);
  }
};

// 8-bit floating point. The smallest normal number, the number that pushes the others' last bits out of a float, the first
// magnitude that is stored as `above`, all as the bits of a float.
template <int fraction_bits, int bias, std::uint32_t smallest, std::uint32_t pusher, std::uint32_t too_large,
          std::uint32_t above, std::uint32_t nan>
struct Float8 {
  using Stored = std::uint8_t;
  using Value = float;
  static Value load(Stored stored) {
    const std::uint32_t sign = static_cast<std::uint32_t>(stored & 0x80U) << 24;
    const std::uint32_t rest = static_cast<std::uint32_t>(stored & 0x7fU) << (23 - fraction_bits);
    // As Half::load.
    constexpr float move = std::bit_cast<float>(static_cast<std::uint32_t>(254 - bias) << 23);
    const float moved = std::bit_cast<float>(rest) * move;
    constexpr std::uint32_t first_special = nan == 0x7fU ? 0x7fU : 0x7cU;
    const std::uint32_t special = (stored & 0x7fU) >= first_special ? 0x7f800000U : 0U;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(moved) | special | sign);
  }
  static Stored store(Value value) {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 24) & 0x80U;
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    constexpr int dropped = 23 - fraction_bits;
    constexpr std::uint32_t half = (1U << (dropped - 1)) - 1;
    const std::uint32_t moved = magnitude - (static_cast<std::uint32_t>(127 - bias) << 23);
    const std::uint32_t normal = (moved + half + ((magnitude >> dropped) & 1U)) >> dropped;
    const std::uint32_t small =
        std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + std::bit_cast<float>(pusher)) - pusher;
    std::uint32_t result = magnitude < smallest ? small : normal;
    result = magnitude >= too_large ? above : result;
    result = magnitude > 0x7f800000U ? nan : result;
    return static_cast<Stored>(result | sign);
  }
};
using Float8E4M3FN = Float8<3, 7, 0x3c800000U, 0x46800000U, 0x43e80001U, 0x7fU, 0x7fU>;
using Float8E5M2 = Float8<2, 15, 0x38800000U, 0x43000000U, 0x47700000U, 0x7cU, 0x7eU>;

struct Complex {
  float real, imaginary;
};

// ---- operations --------------------------------------------------------------------------------------------------

template <typename T>
T wrapping_sum(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
  } else {
    return a + b;
  }
}
template <typename T>
T wrapping_product(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b)));
  } else {
    return a * b;
  }
}

template <typename Real>
using Bits = std::conditional_t<sizeof(Real) == 4, std::uint32_t, std::uint64_t>;

// Bits as integers in the order of the numbers; -0 is below 0.
template <typename Real>
auto order_key(Real value) {
  using Signed = std::make_signed_t<Bits<Real>>;
  const Signed bits = std::bit_cast<Signed>(value);
  return static_cast<Signed>(bits ^ ((bits >> (sizeof(Real) * 8 - 1)) & std::numeric_limits<Signed>::max()));
}
template <typename Real>
Real from_order_key(std::make_signed_t<Bits<Real>> key) {
  using Signed = std::make_signed_t<Bits<Real>>;
  return std::bit_cast<Real>(
      static_cast<Signed>(key ^ ((key >> (sizeof(Real) * 8 - 1)) & std::numeric_limits<Signed>::max())));
}

template <bool is_min, typename T>
T extreme(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return is_min ? std::min(a, b) : std::max(a, b);
  } else {
    const auto ka = order_key(a);
    const auto kb = order_key(b);
    const T chosen = (is_min ? ka < kb : ka > kb) ? a : b;
    const bool number = a == a && b == b;
    return number ? chosen : std::numeric_limits<T>::quiet_NaN();
  }
}

struct Sum {
  template <typename T>
  static T apply(T a, T b) {
    return wrapping_sum(a, b);
  }
};
struct Product {
  template <typename T>
  static T apply(T a, T b) {
    return wrapping_product(a, b);
  }
};
struct Min {
  template <typename T>
  static T apply(T a, T b) {
    return extreme<true>(a, b);
  }
};
struct Max {
  template <typename T>
  static T apply(T a, T b) {
    return extreme<false>(a, b);
  }
};
struct And {
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <typename T>
  static T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};

// ---- loops -------------------------------------------------------------------------------------------------------

struct Job {
  bool deterministic;
  std::uint32_t source_count;
  const void* const* sources;
  const double* scales;   // nullptr: none
  std::uint32_t divisor;  // 0: no average
  void* target;
  std::uint64_t count;
  void* workspace;

  template <typename Stored>
  const Stored* source(std::uint32_t index) const {
    return static_cast<const Stored*>(sources[index]);
  }
};

// In which an average of integers is added: wide enough to be exact.
__extension__ typedef __int128 Int128;
template <typename T>
using Wide = std::conditional_t<sizeof(T) == 8, Int128, std::int64_t>;

template <typename T>
void average_integers(const Job& job) {
  Wide<T> sums[block];
  T* const target = static_cast<T*>(job.target);
  for (std::uint64_t start = 0; start < job.count; start += block) {
    const std::uint64_t size = std::min(block, job.count - start);
    std::fill_n(sums, size, Wide<T>(0));
    for (std::uint32_t s = 0; s < job.source_count; ++s) {
      const T* const source = job.source<T>(s) + start;
      for (std::uint64_t i = 0; i < size; ++i) sums[i] += source[i];
    }
    for (std::uint64_t i = 0; i < size; ++i)
      target[start + i] = static_cast<T>(sums[i] / static_cast<Wide<T>>(job.divisor));
  }
}

template <typename Type, typename Value>
void finish(const Job& job, const Value* values, typename Type::Stored* target, std::uint64_t size) {
  if constexpr (std::is_floating_point_v<Value>) {
    if (job.divisor != 0) {
      const Value divisor = static_cast<Value>(job.divisor);
      for (std::uint64_t i = 0; i < size; ++i) target[i] = Type::store(values[i] / divisor);
      return;
    }
  }
  for (std::uint64_t i = 0; i < size; ++i) target[i] = Type::store(values[i]);
}

template <typename Type, typename Op>
void in_rank_order(const Job& job) {
  using Stored = typename Type::Stored;
  using Value = typename Type::Value;
  Value values[block];
  Stored* const target = static_cast<Stored*>(job.target);
  for (std::uint64_t start = 0; start < job.count; start += block) {
    const std::uint64_t size = std::min(block, job.count - start);
    for (std::uint32_t s = 0; s < job.source_count; ++s) {
      const Stored* const source = job.source<Stored>(s) + start;
      if constexpr (std::is_floating_point_v<Value>) {
        if (job.scales != nullptr) {
          const Value scale = static_cast<Value>(job.scales[s]);
          if (s == 0) {
            for (std::uint64_t i = 0; i < size; ++i) values[i] = Type::load(source[i]) * scale;
          } else {
            for (std::uint64_t i = 0; i < size; ++i) values[i] += Type::load(source[i]) * scale;
          }
          continue;
        }
      }
      if (s == 0) {
        for (std::uint64_t i = 0; i < size; ++i) values[i] = Type::load(source[i]);
      } else {
        for (std::uint64_t i = 0; i < size; ++i) values[i] = Op::apply(values[i], Type::load(source[i]));
      }
    }
    finish<Type>(job, values, target + start, size);
  }
}

// The commonest case: two sources, and a type that is computed in as it is stored.
template <typename T, typename Op>
void of_two(const Job& job) {
  const T* const a = job.source<T>(0);
  const T* const b = job.source<T>(1);
  T* const target = static_cast<T*>(job.target);
#pragma GCC ivdep
  for (std::uint64_t i = 0; i < job.count; ++i) target[i] = Op::apply(a[i], b[i]);
}

// Sorts what is at each place before it is added, so that no order of the ranks shows in the result. The sort is a network
// of comparisons (odd-even transposition) over whole blocks.
template <typename Type, typename Op>
void in_value_order(const Job& job) {
  using Stored = typename Type::Stored;
  using Value = typename Type::Value;
  using Key = std::make_signed_t<Bits<Value>>;
  constexpr std::uint64_t small_block = sorted_block;
  auto* const keys = static_cast<Key(*)[small_block]>(job.workspace);
  Value values[small_block];
  Stored* const target = static_cast<Stored*>(job.target);
  for (std::uint64_t start = 0; start < job.count; start += small_block) {
    const std::uint64_t size = std::min(small_block, job.count - start);
    for (std::uint32_t s = 0; s < job.source_count; ++s) {
      const Stored* const source = job.source<Stored>(s) + start;
      const Value scale = job.scales != nullptr ? static_cast<Value>(job.scales[s]) : Value(1);
      for (std::uint64_t i = 0; i < size; ++i) keys[s][i] = order_key(Type::load(source[i]) * scale);
    }
    for (std::uint32_t round = 0; round < job.source_count; ++round) {
      for (std::uint32_t s = round % 2; s + 1 < job.source_count; s += 2) {
        for (std::uint64_t i = 0; i < size; ++i) {
          const Key low = std::min(keys[s][i], keys[s + 1][i]);
          const Key high = std::max(keys[s][i], keys[s + 1][i]);
          keys[s][i] = low;
          keys[s + 1][i] = high;
        }
      }
    }
    for (std::uint64_t i = 0; i < size; ++i) values[i] = from_order_key<Value>(keys[0][i]);
    for (std::uint32_t s = 1; s < job.source_count; ++s)
      for (std::uint64_t i = 0; i < size; ++i) values[i] = Op::apply(values[i], from_order_key<Value>(keys[s][i]));
    finish<Type>(job, values, target + start, size);
  }
}

void complex_products(const Job& job) {
  Complex* const target = static_cast<Complex*>(job.target);
  for (std::uint64_t i = 0; i < job.count; ++i) {
    Complex value = job.source<Complex>(0)[i];
    for (std::uint32_t s = 1; s < job.source_count; ++s) {
      const Complex factor = job.source<Complex>(s)[i];
      value = {value.real * factor.real - value.imaginary * factor.imaginary,
               value.real * factor.imaginary + value.imaginary * factor.real};
    }
    target[i] = value;
  }
}

// As complex_products, sorted by the bits of both parts.
void sorted_complex_products(const Job& job) {
  Complex* const target = static_cast<Complex*>(job.target);
  std::uint64_t factors[most_sorted_sources];
  for (std::uint64_t i = 0; i < job.count; ++i) {
    for (std::uint32_t s = 0; s < job.source_count; ++s)
      factors[s] = std::bit_cast<std::uint64_t>(job.source<Complex>(s)[i]);
    std::sort(factors, factors + job.source_count);
    Complex value = std::bit_cast<Complex>(factors[0]);
    for (std::uint32_t s = 1; s < job.source_count; ++s) {
      const Complex factor = std::bit_cast<Complex>(factors[s]);
      value = {value.real * factor.real - value.imaginary * factor.imaginary,
               value.real * factor.imaginary + value.imaginary * factor.real};
    }
    target[i] = value;
  }
}

template <typename Type>
void convert(const Job& job, bool widens) {
  using Stored = typename Type::Stored;
  if (widens) {
    float* const target = static_cast<float*>(job.target);
    for (std::uint64_t i = 0; i < job.count; ++i) target[i] = Type::load(job.source<Stored>(0)[i]);
  } else {
    Stored* const target = static_cast<Stored*>(job.target);
    for (std::uint64_t i = 0; i < job.count; ++i) target[i] = Type::store(job.source<float>(0)[i]);
  }
}

// ---- choice ------------------------------------------------------------------------------------------------------

template <typename T>
void integers(const Job& job, std::uint8_t kind) {
  const bool two = job.source_count == 2;
  using P = Plain<T>;
  switch (kind) {
    case FLAGOS_COMM_REDUCTION_SUM:
      return two ? of_two<T, Sum>(job) : in_rank_order<P, Sum>(job);
    case FLAGOS_COMM_REDUCTION_PRODUCT:
      return in_rank_order<P, Product>(job);
    case FLAGOS_COMM_REDUCTION_MIN:
      return in_rank_order<P, Min>(job);
    case FLAGOS_COMM_REDUCTION_MAX:
      return in_rank_order<P, Max>(job);
    case FLAGOS_COMM_REDUCTION_AVERAGE:
      return average_integers<T>(job);
    case FLAGOS_COMM_REDUCTION_BIT_AND:
      return in_rank_order<P, And>(job);
    case FLAGOS_COMM_REDUCTION_BIT_OR:
      return in_rank_order<P, Or>(job);
    default:
      return in_rank_order<P, Xor>(job);
  }
}

void booleans(const Job& job, std::uint8_t kind) {
  switch (kind) {
    case FLAGOS_COMM_REDUCTION_PRODUCT:
    case FLAGOS_COMM_REDUCTION_MIN:
    case FLAGOS_COMM_REDUCTION_BIT_AND:
      return in_rank_order<Bool, And>(job);
    case FLAGOS_COMM_REDUCTION_BIT_XOR:
      return in_rank_order<Bool, Xor>(job);
    default:
      return in_rank_order<Bool, Or>(job);
  }
}

template <typename Type>
void reals(const Job& job, std::uint8_t kind) {
  if constexpr (sizeof(typename Type::Stored) < sizeof(float)) {
    if (kind == widening || kind == narrowing) return convert<Type>(job, kind == widening);
  }
  switch (kind) {
    case FLAGOS_COMM_REDUCTION_MIN:
      return in_rank_order<Type, Min>(job);
    case FLAGOS_COMM_REDUCTION_MAX:
      return in_rank_order<Type, Max>(job);
    case FLAGOS_COMM_REDUCTION_PRODUCT:
      return job.deterministic ? in_value_order<Type, Product>(job) : in_rank_order<Type, Product>(job);
    default:
      break;
  }
  if (job.deterministic) return in_value_order<Type, Sum>(job);
  if constexpr (std::is_same_v<typename Type::Stored, typename Type::Value>) {
    if (job.source_count == 2 && job.scales == nullptr && job.divisor == 0)
      return of_two<typename Type::Value, Sum>(job);
  }
  in_rank_order<Type, Sum>(job);
}

}  // namespace

void FLAGOS_REDUCE_LOOPS(const Reduction& reduction, std::uint32_t source_count, const void* const* sources,
                         const double* scales, std::uint32_t divisor, void* target, std::uint64_t count,
                         void* workspace) {
  Job job{.deterministic = reduction.deterministic,
          .source_count = source_count,
          .sources = sources,
          .scales = reduction.kind == premultiplied_sum ? scales : nullptr,
          .divisor = reduction.kind == FLAGOS_COMM_REDUCTION_AVERAGE ? divisor : 0,
          .target = target,
          .count = count,
          .workspace = workspace};
  const std::uint8_t kind = reduction.kind;
  switch (reduction.dtype) {
    case FLAGOS_DTYPE_BOOL:
      return booleans(job, kind);
    case FLAGOS_DTYPE_INT8:
      return integers<std::int8_t>(job, kind);
    case FLAGOS_DTYPE_INT16:
      return integers<std::int16_t>(job, kind);
    case FLAGOS_DTYPE_INT32:
      return integers<std::int32_t>(job, kind);
    case FLAGOS_DTYPE_INT64:
      return integers<std::int64_t>(job, kind);
    case FLAGOS_DTYPE_UINT8:
      return integers<std::uint8_t>(job, kind);
    case FLAGOS_DTYPE_UINT16:
      return integers<std::uint16_t>(job, kind);
    case FLAGOS_DTYPE_UINT32:
      return integers<std::uint32_t>(job, kind);
    case FLAGOS_DTYPE_UINT64:
      return integers<std::uint64_t>(job, kind);
    case FLAGOS_DTYPE_FLOAT8_E4M3FN:
      return reals<Float8E4M3FN>(job, kind);
    case FLAGOS_DTYPE_FLOAT8_E5M2:
      return reals<Float8E5M2>(job, kind);
    case FLAGOS_DTYPE_FLOAT16:
      return reals<Half>(job, kind);
    case FLAGOS_DTYPE_BFLOAT16:
      return reals<BFloat>(job, kind);
    case FLAGOS_DTYPE_FLOAT32:
      return reals<Plain<float>>(job, kind);
    case FLAGOS_DTYPE_FLOAT64:
      return reals<Plain<double>>(job, kind);
    default:
      break;
  }
  // complex64: sums are those of twice as many numbers.
  if (kind == FLAGOS_COMM_REDUCTION_PRODUCT)
    return job.deterministic ? sorted_complex_products(job) : complex_products(job);
  job.count *= 2;
  reals<Plain<float>>(job, kind);
}

}  // namespace flagos
