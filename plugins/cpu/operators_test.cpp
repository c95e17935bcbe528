// Products through BLAS and oneDNN against sums in double: every layout that is taken, what is refused, the ways to have
// no library.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "plugins/cpu/test_plugin.hpp"

namespace flagos::cpu::test {
namespace {

// OpenBLAS may be older than the machine; then it is told what to take it for. Before anything else runs.
[[maybe_unused]] const bool told = [] {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) setenv("OPENBLAS_CORETYPE", "Haswell", 0);
#endif
  return true;
}();

using Shape = std::vector<std::int64_t>;

// Where a matrix lies: the strides of its last two axes.
enum class Lie { rows, columns, padded_rows, padded_columns, spaced };
constexpr Lie lies[] = {Lie::rows, Lie::columns, Lie::padded_rows, Lie::padded_columns};

// What has no type in C++.
struct Bfloat16 {
  Bfloat16() = default;
  explicit Bfloat16(double value) {
    const auto wide = std::bit_cast<std::uint32_t>(static_cast<float>(value));
    const std::uint32_t half = 0x7fffU + ((wide >> 16) & 1U);
    bits = static_cast<std::uint16_t>((std::isnan(value) ? wide : wide + half) >> 16);
  }
  explicit operator double() const {
    return static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16));
  }
  bool operator==(const Bfloat16&) const = default;
  std::uint16_t bits = 0;
};

template <typename T>
constexpr flagos_dtype_t dtype_of = FLAGOS_DTYPE_NONE;
template <>
constexpr flagos_dtype_t dtype_of<float> = FLAGOS_DTYPE_FLOAT32;
template <>
constexpr flagos_dtype_t dtype_of<double> = FLAGOS_DTYPE_FLOAT64;
template <>
constexpr flagos_dtype_t dtype_of<Bfloat16> = FLAGOS_DTYPE_BFLOAT16;
template <>
constexpr flagos_dtype_t dtype_of<std::int8_t> = FLAGOS_DTYPE_INT8;
template <>
constexpr flagos_dtype_t dtype_of<std::int32_t> = FLAGOS_DTYPE_INT32;

// What lies between elements: no sum of them.
template <typename T>
T beside() {
  if constexpr (std::is_integral_v<T>)
    return std::numeric_limits<T>::min() + 1;
  else
    return static_cast<T>(0.015625);
}

// A tensor of whole numbers, so that every sum is exact.
template <typename T>
class HostMatrix {
 public:
  HostMatrix(Shape shape, Lie lie = Lie::rows, std::uint32_t seed = 1) : shape_(std::move(shape)) {
    const std::size_t rank = shape_.size();
    strides_.resize(rank);
    std::int64_t step = 1;
    const std::int64_t gap = lie == Lie::padded_rows || lie == Lie::padded_columns ? 3 : 0;
    std::vector<std::size_t> order;
    for (std::size_t i = rank; i-- > 0;) order.push_back(i);
    if (rank > 1 && (lie == Lie::columns || lie == Lie::padded_columns))
      std::swap(order[0], order[1]);
    if (lie == Lie::spaced) step = 2;
    for (std::size_t i = 0; i < rank; ++i) {
      strides_[order[i]] = step;
      step *= shape_[order[i]] + (i == 0 ? gap : 0);
    }
    values_.assign(static_cast<std::size_t>(step) + 8, beside<T>());
    std::mt19937 random(seed);
    for_each([&](T& value) { value = static_cast<T>(static_cast<int>(random() % 7) - 3); });
    tensor_ = {sizeof(tensor_),
               dtype_of<T>,
               address_of(values_.data()),
               0,
               static_cast<std::uint32_t>(rank),
               shape_.data(),
               strides_.data()};
  }
  HostMatrix(const HostMatrix&) = delete;
  HostMatrix& operator=(const HostMatrix&) = delete;

  T& at(std::initializer_list<std::int64_t> place) {
    std::int64_t offset = 0;
    std::size_t axis = 0;
    for (const std::int64_t index : place) offset += index * strides_[axis++];
    return values_[static_cast<std::size_t>(offset)];
  }
  void for_each(const std::function<void(T&)>& function, std::size_t axis = 0,
                std::int64_t offset = 0) {
    if (axis == shape_.size()) return function(values_[static_cast<std::size_t>(offset)]);
    for (std::int64_t i = 0; i < shape_[axis]; ++i)
      for_each(function, axis + 1, offset + i * strides_[axis]);
  }
  void fill(double value) {
    for_each([&](T& element) { element = static_cast<T>(value); });
  }
  // What lies between the elements is as it was.
  std::int64_t untouched() const {
    std::int64_t count = 0;
    for (const T value : values_) count += value == beside<T>();
    return count;
  }
  std::int64_t gaps() const {
    std::int64_t elements = 1;
    for (const std::int64_t extent : shape_) elements *= extent;
    return static_cast<std::int64_t>(values_.size()) - elements;
  }
  const flagos_tensor_t* tensor() const { return &tensor_; }
  flagos_tensor_t& description() { return tensor_; }

 private:
  Shape shape_, strides_;
  std::vector<T> values_;
  flagos_tensor_t tensor_{};
};

class Native {
 public:
  explicit Native(Config config = {}) : device(std::move(config)) {}
  // Where the machine has no OpenBLAS the calls are refused, which other cases look at.
  bool is_there() {
    return multiplies<float, float>("there is no libopenblas.so.0 (Debian: libopenblas0-pthread)");
  }
  // oneDNN has code of its own for some processors only.
  template <typename T, typename Result>
  bool multiplies(const char* why_not) {
    HostMatrix<T> a({32, 32}), b({32, 32});
    HostMatrix<Result> out({32, 32});
    if (takes("mm", {a.tensor(), b.tensor(), out.tensor()})) return true;
    MESSAGE("skipped: ", why_not);
    return false;
  }

  using Arguments =
      std::vector<std::variant<std::monostate, const flagos_tensor_t*, std::int64_t, double>>;

  bool takes(const std::string& name, const Arguments& arguments) {
    describe(name, arguments);
    flagos_operator_support_t support{};
    support.struct_size = sizeof(support);
    REQUIRE(device.api.operators->query(device.get(), &desc_, &support) == FLAGOS_STATUS_OK);
    const bool taken = (support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS) != 0;
    CHECK(taken == ((support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE) != 0));
    CHECK(support.workspace_bytes == 0);
    return taken;
  }
  void run(const std::string& name, const Arguments& arguments) {
    CHECK(takes(name, arguments));
    flagos_plugin_stream_t* const stream = device.stream();
    REQUIRE(device.api.operators->run(stream, &desc_) == FLAGOS_STATUS_OK);
    std::memset(arguments_.data(), 0xcc,
                arguments_.size() * sizeof(arguments_[0]));  // it was copied
    REQUIRE(device.api.stream->synchronize(stream, forever) == FLAGOS_STATUS_OK);
  }
  void refuse(const std::string& name, const Arguments& arguments) {
    CHECK(!takes(name, arguments));
    CHECK(device.api.operators->run(device.stream(), &desc_) == FLAGOS_STATUS_UNSUPPORTED);
  }

  TestDevice device;

 private:
  void describe(const std::string& name, const Arguments& arguments) {
    flagos_operator_info_t info{};
    info.struct_size = sizeof(info);
    std::uint32_t index = 0;
    while (true) {
      REQUIRE(device.api.operators->get_info(device.get(), index, &info) == FLAGOS_STATUS_OK);
      if (name == info.name) break;
      ++index;
    }
    arguments_.clear();
    for (const auto& argument : arguments) {
      if (const auto* tensor = std::get_if<const flagos_tensor_t*>(&argument))
        arguments_.push_back({FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, address_of(*tensor)});
      else if (const auto* integer = std::get_if<std::int64_t>(&argument))
        arguments_.push_back(
            {FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER, 0, static_cast<std::uint64_t>(*integer)});
      else if (const auto* real = std::get_if<double>(&argument))
        arguments_.push_back(
            {FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL, 0, std::bit_cast<std::uint64_t>(*real)});
      else
        arguments_.push_back({});
    }
    desc_ = {};
    desc_.struct_size = sizeof(desc_);
    desc_.index = index;
    desc_.arguments = arguments_.data();
    desc_.argument_count = static_cast<std::uint32_t>(arguments_.size());
  }

  std::vector<flagos_operator_argument_t> arguments_;
  flagos_operator_desc_t desc_{};
};

template <typename T>
double sum_of(HostMatrix<T>& a, HostMatrix<T>& b, std::int64_t k, std::int64_t i, std::int64_t j) {
  double sum = 0;
  for (std::int64_t x = 0; x < k; ++x)
    sum += static_cast<double>(a.at({i, x})) * static_cast<double>(b.at({x, j}));
  return sum;
}

template <typename T, typename Result = T>
void check_mm(Native& native, std::int64_t m, std::int64_t n, std::int64_t k, Lie lie_a, Lie lie_b,
              Lie lie_out) {
  CAPTURE(m);
  CAPTURE(n);
  CAPTURE(k);
  CAPTURE(static_cast<int>(lie_a));
  CAPTURE(static_cast<int>(lie_b));
  CAPTURE(static_cast<int>(lie_out));
  HostMatrix<T> a({m, k}, lie_a, 2), b({k, n}, lie_b, 3);
  HostMatrix<Result> out({m, n}, lie_out);
  // What it held before must not matter.
  out.fill(std::is_integral_v<Result> ? 77 : std::nan(""));
  native.run("mm", {a.tensor(), b.tensor(), out.tensor()});
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      wrong += out.at({i, j}) != static_cast<Result>(sum_of(a, b, k, i, j));
  CHECK(wrong == 0);
  CHECK(out.untouched() == out.gaps());
}

const Config only_onednn{{"FLAGOS_CPU_BLAS", "none"}};
constexpr const char* no_onednn =
    "there is no libdnnl (Debian: libdnnl2), or it has no code of this type for this processor";

template <typename T, typename Result = T>
void check_onednn() {
  Native native(only_onednn);
  if (!native.multiplies<T, Result>(no_onednn)) return;
  for (const Lie a : lies)
    for (const Lie b : lies)
      for (const Lie out : lies)
        for (const auto& [m, n] : {std::pair<int, int>{5, 7}, {1, 9}, {9, 1}, {1, 1}})
          check_mm<T, Result>(native, m, n, 11, a, b, out);
  check_mm<T, Result>(native, 131, 257, 65, Lie::rows, Lie::columns, Lie::rows);
  check_mm<T, Result>(native, 300, 33, 129, Lie::padded_columns, Lie::rows, Lie::columns);
  check_mm<T, Result>(native, 1, 1025, 700, Lie::rows, Lie::columns, Lie::rows);
  check_mm<T, Result>(native, 1025, 1, 700, Lie::columns, Lie::rows, Lie::rows);

  HostMatrix<T> a({6, 8}, Lie::rows, 2), b({8, 10}, Lie::columns, 3);
  HostMatrix<Result> row({10}, Lie::rows, 5), out({6, 10}), whole({6, 10}, Lie::columns, 4),
      kept({6, 10}, Lie::columns, 4);
  native.run("addmm", {row.tensor(), a.tensor(), b.tensor(), std::int64_t{2}, std::int64_t{1},
                       out.tensor()});
  for (std::int64_t i = 0; i < 6; ++i)
    for (std::int64_t j = 0; j < 10; ++j)
      CHECK(out.at({i, j}) ==
            static_cast<Result>(2 * static_cast<double>(row.at({j})) + sum_of(a, b, 8, i, j)));
  // In place, but for whole numbers: those are added up behind the product.
  const Native::Arguments in_place{whole.tensor(),  a.tensor(),      b.tensor(),
                                   std::int64_t{3}, std::int64_t{1}, whole.tensor()};
  if (std::is_integral_v<Result>) {
    native.refuse("addmm", in_place);
    native.run("addmm", {row.tensor(), a.tensor(), b.tensor(), std::int64_t{-2}, std::int64_t{3},
                         out.tensor()});
    CHECK(static_cast<double>(out.at({4, 7})) ==
          3 * sum_of(a, b, 8, 4, 7) - 2 * static_cast<double>(row.at({7})));
    native.refuse("addmm",
                  {row.tensor(), a.tensor(), b.tensor(), 0.5, std::int64_t{1}, out.tensor()});
  } else {
    native.run("addmm", in_place);
    for (std::int64_t i = 0; i < 6; ++i)
      for (std::int64_t j = 0; j < 10; ++j)
        CHECK(whole.at({i, j}) == static_cast<Result>(3 * static_cast<double>(kept.at({i, j})) +
                                                      sum_of(a, b, 8, i, j)));
    native.refuse("addmm",
                  {row.tensor(), a.tensor(), b.tensor(), std::int64_t{1}, 0.5, out.tensor()});
  }
  HostMatrix<T> left({40, 3, 7}, Lie::columns, 2), right({40, 7, 5}, Lie::rows, 3);
  HostMatrix<Result> sums({40, 3, 5});
  native.run("bmm", {left.tensor(), right.tensor(), sums.tensor()});
  for (std::int64_t l = 0; l < 40; ++l) {
    double sum = 0;
    for (std::int64_t k = 0; k < 7; ++k)
      sum += static_cast<double>(left.at({l, 2, k})) * static_cast<double>(right.at({l, k, 4}));
    CHECK(sums.at({l, 2, 4}) == static_cast<Result>(sum));
  }
}

}  // namespace

TEST_CASE("operators: every layout of three matrices") {
  Native native;
  if (!native.is_there()) return;
  for (const Lie a : lies)
    for (const Lie b : lies)
      for (const Lie out : lies)
        for (const auto& [m, n] : {std::pair<int, int>{5, 7}, {1, 9}, {9, 1}, {1, 1}}) {
          check_mm<float>(native, m, n, 11, a, b, out);
          check_mm<double>(native, m, n, 11, a, b, out);
        }
}

TEST_CASE("operators: sizes that are shared among threads, with odd ends") {
  Native native;
  if (!native.is_there()) return;
  check_mm<float>(native, 131, 257, 65, Lie::rows, Lie::columns, Lie::rows);
  check_mm<float>(native, 300, 33, 129, Lie::padded_columns, Lie::rows, Lie::columns);
  check_mm<double>(native, 257, 131, 65, Lie::columns, Lie::padded_rows, Lie::padded_rows);
  check_mm<float>(native, 1, 1025, 700, Lie::rows, Lie::columns, Lie::rows);
  check_mm<float>(native, 1025, 1, 700, Lie::columns, Lie::rows, Lie::rows);
}

TEST_CASE("operators: what is added, scaled, spread, and in place") {
  Native native;
  if (!native.is_there()) return;
  HostMatrix<float> a({6, 8}, Lie::rows, 2), b({8, 10}, Lie::columns, 3), out({6, 10});
  HostMatrix<float> whole({6, 10}, Lie::columns, 4), row({10}, Lie::rows, 5),
      column({6, 1}, Lie::rows, 6), one(Shape{}, Lie::rows, 7);
  const auto check = [&](const flagos_tensor_t* c, auto added) {
    out.fill(std::nan(""));
    native.run("addmm", {c, a.tensor(), b.tensor(), std::int64_t{2}, -0.5, out.tensor()});
    for (std::int64_t i = 0; i < 6; ++i)
      for (std::int64_t j = 0; j < 10; ++j)
        CHECK(static_cast<double>(out.at({i, j})) == 2 * added(i, j) - 0.5 * sum_of(a, b, 8, i, j));
  };
  check(whole.tensor(), [&](std::int64_t i, std::int64_t j) { return whole.at({i, j}); });
  check(row.tensor(), [&](std::int64_t, std::int64_t j) { return row.at({j}); });
  check(column.tensor(), [&](std::int64_t i, std::int64_t) { return column.at({i, 0}); });
  check(one.tensor(), [&](std::int64_t, std::int64_t) { return one.at({}); });
  HostMatrix<float> kept({6, 10}, Lie::columns, 4);
  native.run("addmm",
             {whole.tensor(), a.tensor(), b.tensor(), 3.0, std::int64_t{1}, whole.tensor()});
  for (std::int64_t i = 0; i < 6; ++i)
    for (std::int64_t j = 0; j < 10; ++j)
      CHECK(static_cast<double>(whole.at({i, j})) == 3 * kept.at({i, j}) + sum_of(a, b, 8, i, j));
  // With a beta of 0 it is not read.
  whole.fill(std::nan(""));
  native.run("addmm", {whole.tensor(), a.tensor(), b.tensor(), std::int64_t{0}, std::int64_t{1},
                       out.tensor()});
  CHECK(static_cast<double>(out.at({5, 9})) == sum_of(a, b, 8, 5, 9));
  HostMatrix<double> matrix({9, 7}, Lie::columns, 2), x({7}, Lie::spaced, 3),
      y({9}, Lie::spaced, 4), into({9}, Lie::spaced);
  native.run("addmv",
             {y.tensor(), matrix.tensor(), x.tensor(), std::int64_t{-1}, 2.0, into.tensor()});
  for (std::int64_t i = 0; i < 9; ++i) {
    double sum = 0;
    for (std::int64_t k = 0; k < 7; ++k) sum += matrix.at({i, k}) * x.at({k});
    CHECK(into.at({i}) == 2 * sum - y.at({i}));
  }
  CHECK(into.untouched() == into.gaps());
}

TEST_CASE("operators: batches, broadcast, and one matrix for all of them") {
  Native native;
  if (!native.is_there()) return;
  HostMatrix<float> a({2, 1, 3, 7}, Lie::rows, 2), b({5, 7, 4}, Lie::columns, 3),
      out({2, 5, 3, 4}, Lie::padded_rows);
  native.run("matmul", {a.tensor(), b.tensor(), out.tensor()});
  for (std::int64_t l = 0; l < 2; ++l)
    for (std::int64_t q = 0; q < 5; ++q)
      for (std::int64_t i = 0; i < 3; ++i)
        for (std::int64_t j = 0; j < 4; ++j) {
          double sum = 0;
          for (std::int64_t k = 0; k < 7; ++k)
            sum += static_cast<double>(a.at({l, 0, i, k}) * b.at({q, k, j}));
          CHECK(static_cast<double>(out.at({l, q, i, j})) == sum);
        }
  HostMatrix<float> input({2, 3, 5, 6}, Lie::rows, 2), weight({9, 6}, Lie::rows, 3),
      bias({9}, Lie::rows, 4), to({2, 3, 5, 9});
  HostMatrix<float> single({6}, Lie::rows, 8), single_out({9});
  for (const bool biased : {false, true}) {
    native.run("linear", {input.tensor(), weight.tensor(),
                          biased ? Native::Arguments::value_type(bias.tensor()) : std::monostate{},
                          to.tensor()});
    double sum = biased ? static_cast<double>(bias.at({8})) : 0;
    for (std::int64_t k = 0; k < 6; ++k)
      sum += static_cast<double>(input.at({1, 2, 4, k}) * weight.at({8, k}));
    CHECK(static_cast<double>(to.at({1, 2, 4, 8})) == sum);
  }
  native.run("linear", {single.tensor(), weight.tensor(), std::monostate{}, single_out.tensor()});
  double sum = 0;
  for (std::int64_t k = 0; k < 6; ++k)
    sum += static_cast<double>(single.at({k}) * weight.at({7, k}));
  CHECK(static_cast<double>(single_out.at({7})) == sum);
  HostMatrix<double> x({33}, Lie::spaced, 2), y({33}, Lie::rows, 3), product(Shape{});
  native.run("dot", {x.tensor(), y.tensor(), product.tensor()});
  double dot = 0;
  for (std::int64_t k = 0; k < 33; ++k) dot += x.at({k}) * y.at({k});
  CHECK(product.at({}) == dot);
  HostMatrix<double> long_x({100'000}), long_y({100'000});  // more than one thread's work
  CHECK_FALSE(native.takes("dot", {long_x.tensor(), long_y.tensor(), product.tensor()}));
  HostMatrix<float> left({4, 3, 7}, Lie::columns, 2), right({4, 7, 5}, Lie::rows, 3),
      c({4, 3, 5}, Lie::rows, 4), sums({4, 3, 5});
  native.run("bmm", {left.tensor(), right.tensor(), sums.tensor()});
  const float plain = sums.at({3, 2, 4});
  native.run("baddbmm", {c.tensor(), left.tensor(), right.tensor(), std::int64_t{1},
                         std::int64_t{1}, sums.tensor()});
  CHECK(sums.at({3, 2, 4}) == plain + c.at({3, 2, 4}));
}

TEST_CASE("operators: what BLAS cannot express, or is not as the schema says, is refused") {
  Native native;
  if (!native.is_there()) return;
  HostMatrix<float> a({6, 8}), b({8, 10}), out({6, 10}), spaced({6, 8}, Lie::spaced),
      spaced_out({6, 10}, Lie::spaced), vector({8}), wrong({7, 10});
  HostMatrix<double> wide({8, 10});
  native.refuse("mm", {spaced.tensor(), b.tensor(), out.tensor()});
  native.refuse("mm", {a.tensor(), b.tensor(), spaced_out.tensor()});
  native.refuse("mm", {a.tensor(), wide.tensor(), out.tensor()});
  native.refuse("mm", {a.tensor(), b.tensor(), wrong.tensor()});
  native.refuse("mm", {a.tensor(), vector.tensor(), out.tensor()});
  native.refuse("mm", {a.tensor(), b.tensor()});
  native.refuse("mm", {a.tensor(), std::int64_t{1}, out.tensor()});
  native.refuse("mv", {a.tensor(), b.tensor(), out.tensor()});
  native.refuse("linear", {a.tensor(), b.tensor(), std::monostate{}, out.tensor()});
  native.refuse("addmm", {out.tensor(), a.tensor(), b.tensor(), std::int64_t{1}, std::int64_t{0},
                          out.tensor()});
  native.refuse("addmm", {out.tensor(), a.tensor(), b.tensor(), std::monostate{}, std::int64_t{1},
                          out.tensor()});
  native.refuse("addmm", {wrong.tensor(), a.tensor(), b.tensor(), std::int64_t{1}, std::int64_t{1},
                          out.tensor()});
  a.description().dtype = b.description().dtype = out.description().dtype = FLAGOS_DTYPE_INT32;
  native.refuse("mm", {a.tensor(), b.tensor(), out.tensor()});
  HostMatrix<float> none({6, 0}), nothing({0, 10});
  HostMatrix<float> sum({6, 10});
  native.refuse("mm", {none.tensor(), nothing.tensor(), sum.tensor()});
}

TEST_CASE("operators: float32, bfloat16 and int8 through oneDNN") {
  SUBCASE("float32") { check_onednn<float>(); }
  SUBCASE("bfloat16") { check_onednn<Bfloat16>(); }
  SUBCASE("int8") { check_onednn<std::int8_t, std::int32_t>(); }
}

TEST_CASE("operators: oneDNN's int8 products are exact at both ends of the type") {
  Native native;
  if (!native.multiplies<std::int8_t, std::int32_t>(no_onednn)) return;
  constexpr std::int64_t k = 1500;
  HostMatrix<std::int8_t> a({40, k}), b({k, 40});
  HostMatrix<std::int32_t> out({40, 40});
  for (const auto& [left, right] :
       {std::pair<int, int>{127, 127}, {-128, -128}, {-128, 127}, {127, -128}}) {
    a.fill(left);
    b.fill(right);
    native.run("mm", {a.tensor(), b.tensor(), out.tensor()});
    CHECK(out.at({39, 17}) == left * right * k);
  }
}

TEST_CASE("operators: the same call gives the same bits") {
  Native native;
  if (!native.is_there()) return;
  const std::int64_t size = 200;
  HostMatrix<float> a({size, size}), b({size, size}), first({size, size}), again({size, size});
  std::mt19937 random(5);
  for (HostMatrix<float>* matrix : {&a, &b})
    matrix->for_each([&](float& value) { value = static_cast<float>(random()) * 1e-9F - 2; });
  native.run("mm", {a.tensor(), b.tensor(), first.tensor()});
  for (int i = 0; i < 20; ++i) {
    native.run("mm", {a.tensor(), b.tensor(), again.tensor()});
    bool same = true;
    for (std::int64_t x = 0; x < size; ++x)
      for (std::int64_t y = 0; y < size; ++y) same = same && first.at({x, y}) == again.at({x, y});
    CHECK(same);
  }
}

TEST_CASE("operators: without libraries, and with one that is none") {
  Native none(Config{{"FLAGOS_CPU_BLAS", "none"}, {"FLAGOS_CPU_ONEDNN", "none"}});
  flagos_operator_info_t info{};
  info.struct_size = sizeof(info);
  CHECK(none.device.api.operators->get_info(none.device.get(), 0, &info) ==
        FLAGOS_STATUS_NOT_FOUND);
  for (const auto& [variable, name] :
       {std::pair<const char*, const char*>{"FLAGOS_CPU_BLAS", "/nonexistent/libopenblas.so.0"},
        {"FLAGOS_CPU_BLAS", "libc.so.6"},
        {"FLAGOS_CPU_ONEDNN", "/nonexistent/libdnnl.so.2"},
        {"FLAGOS_CPU_ONEDNN", "libc.so.6"}}) {
    Native named(Config{{variable, name}});
    HostMatrix<float> a({2, 2}), b({2, 2}), out({2, 2});
    if (std::string(variable) == "FLAGOS_CPU_ONEDNN")
      for (HostMatrix<float>* matrix : {&a, &b, &out})
        matrix->description().dtype = FLAGOS_DTYPE_FLOAT16;
    flagos_operator_argument_t arguments[] = {
        {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, address_of(a.tensor())},
        {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, address_of(b.tensor())},
        {FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR, 0, address_of(out.tensor())}};
    flagos_operator_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.arguments = arguments;
    desc.argument_count = 3;
    flagos_operator_support_t support{};
    support.struct_size = sizeof(support);
    CHECK(named.device.api.operators->query(named.device.get(), &desc, &support) ==
          FLAGOS_STATUS_NOT_FOUND);
    const std::string text = named.device.host.last_error();
    CHECK_MESSAGE(text.find(std::string(variable) + " names '" + name +
                            "', which cannot be used") != std::string::npos,
                  text);
  }
}

}  // namespace flagos::cpu::test
