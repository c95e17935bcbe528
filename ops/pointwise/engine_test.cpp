// The pointwise engine itself: layouts, promotion, in place, order, capture, and what it refuses.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "ops/testing/check.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

Fixture& fixture() { return Fixture::get(); }

HostTensor counting(DType dtype, Shape shape, Placement placement = Placement::dense) {
  HostTensor out(dtype, std::move(shape), placement);
  out.fill([](std::int64_t i) { return static_cast<Number>(i % 11) - 5; });
  return out;
}

}  // namespace

TEST_CASE("engine: every pair of placements, and shapes that are broadcast") {
  constexpr Placement placements[] = {Placement::dense, Placement::transposed, Placement::sliced,
                                      Placement::broadcast};
  const std::pair<Shape, Shape> shapes[] = {
      {{6, 17, 33}, {6, 17, 33}}, {{4, 70}, {70}}, {{4, 70}, {4, 1}},
      {{3, 1, 5}, {2, 1}},        {{130, 3}, {3}}, {{2, 300}, {}}};
  for (const auto& [left, right] : shapes)
    for (const Placement a : placements)
      for (const Placement b : placements) {
        HostTensor x = counting(DType::f32, left, a), y = counting(DType::f32, right, b);
        Shape shape = left;
        if (left == Shape{3, 1, 5}) shape = {3, 2, 5};
        HostTensor out(DType::f32, shape, a == Placement::broadcast ? Placement::dense : a);
        const std::vector<unsigned char> before = out.bytes();
        const std::string which =
            fmt::format("{} {} rank {}", placement_name(a), placement_name(b), left.size());
        INFO(which);
        must_call("add", {&x, &y, std::int64_t{1}, &out});
        // Element by element, from the last axis on.
        std::vector<Number> expected;
        for (std::int64_t i = 0; i < out.elements(); ++i) {
          const auto at = [&](const HostTensor& t) {
            std::int64_t rest = i, index = 0, step = 1;
            for (std::size_t axis = shape.size(); axis-- > 0;) {
              const std::int64_t place = rest % shape[axis];
              rest /= shape[axis];
              const std::size_t skipped = shape.size() - t.shape().size();
              if (axis < skipped) continue;
              const std::int64_t extent = t.shape()[axis - skipped];
              index += extent == 1 ? 0 : place * step;
              step *= extent;
            }
            return t.get(index);
          };
          expected.push_back(at(x) + at(y));
        }
        CHECK(compare(out, expected, exact) == "");
        CHECK(out.strayed(before) == 0);
      }
}

TEST_CASE("engine: more axes than a kernel knows") {
  // Every second element of every axis: nothing can be joined.
  const Shape shape{2, 3, 2, 2, 3, 2, 2, 3};
  HostTensor x = counting(DType::f32, shape, Placement::sliced),
             out(DType::f32, shape, Placement::sliced);
  must_call("neg", {&x, &out});
  for (std::int64_t i = 0; i < out.elements(); ++i) REQUIRE(out.get(i) == -x.get(i));
}

TEST_CASE("engine: types are promoted as ATen does") {
  const auto sum_in = [&](DType a, Shape sa, DType b, Shape sb, DType wanted) {
    HostTensor x = counting(a, sa), y = counting(b, sb), out(wanted, {7});
    must_call("add", {&x, &y, std::int64_t{1}, &out});
    for (std::int64_t i = 0; i < 7; ++i)
      CHECK(out.get(i) ==
            rounded(wanted, x.get(x.elements() == 1 ? 0 : i) + y.get(y.elements() == 1 ? 0 : i)));
  };
  sum_in(DType::i32, {7}, DType::f32, {7}, DType::f32);
  sum_in(DType::f16, {7}, DType::bf16, {7}, DType::f32);
  sum_in(DType::u8, {7}, DType::i8, {7}, DType::i16);
  sum_in(DType::f16, {7}, DType::f32, {},
         DType::f16);  // without axes: does not promote within its kind
  sum_in(DType::i32, {7}, DType::i64, {}, DType::i32);

  HostTensor whole = counting(DType::i32, {7}), out(DType::f32, {7}), back(DType::i32, {7});
  must_call("mul.Scalar", {&whole, 0.5, &out});
  CHECK(out.get(1) == whole.get(1) * 0.5L);
  must_refuse("mul.Scalar", {&whole, 0.5, &back},
              "mul.Scalar: out is of int32, which cannot take results of float32");
  must_call("exp", {&whole, &out});
  HostTensor truth(DType::boolean, {7});
  must_call("eq.Scalar", {&whole, std::int64_t{-4}, &truth});
  CHECK(truth.get(1) == 1);
  CHECK(truth.get(0) == 0);
}

TEST_CASE("engine: in place, also on a part; other overlaps are refused") {
  HostTensor x = counting(DType::f32, {5000}), y = counting(DType::f32, {5000});
  const std::vector<Number> before = x.values();
  must_call("add", {&x, &y, std::int64_t{2}, &x});
  for (std::int64_t i = 0; i < x.elements(); ++i) REQUIRE(x.get(i) == before[i] + 2 * y.get(i));

  const flagos_address_t memory = fixture().upload(x);
  const std::int64_t shape[] = {100}, back[] = {-1};
  flagos_tensor_t in = describe(x, memory), out = in;
  in.rank = out.rank = 1;
  in.shape = out.shape = shape;
  in.strides = out.strides = nullptr;
  out.address += 4 * 50;
  CHECK(flagos_ops_neg(fixture().stream(), &in, &out) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(std::string(flagos_last_error()) == "neg: input lies over a part of out, which is written");
  out.address = in.address + 4 * 99;
  out.strides = back;
  CHECK(flagos_ops_neg(fixture().stream(), &in, &out) ==
        FLAGOS_STATUS_OK);  // not told apart from x[::2] and x[1::2]
  CHECK(flagos_stream_synchronize(fixture().stream(), FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  fixture().free(memory);

  HostTensor row = counting(DType::f32, {3, 4}, Placement::broadcast),
             full = counting(DType::f32, {3, 4});
  must_refuse("neg", {&full, &row},
              "neg: out is written, and its elements along dimension 0 share one place");
}

TEST_CASE("engine: special numbers") {
  const Number inf = std::numeric_limits<Number>::infinity(),
               nan = std::numeric_limits<Number>::quiet_NaN();
  const std::vector<Number> values{nan, inf, -inf, 0.0L, -0.0L, 1e-40L, -1.5L};
  const auto apply = [&](const char* op, DType out_dtype = DType::f32) {
    HostTensor x = HostTensor::of(DType::f32, {7}, values), out(out_dtype, {7});
    must_call(op, {&x, &out});
    return out.values();
  };
  const auto relu = apply("relu");
  CHECK(std::isnan(relu[0]));
  CHECK(relu[1] == inf);
  CHECK(relu[2] == 0);
  CHECK(apply("isnan", DType::boolean) == std::vector<Number>{1, 0, 0, 0, 0, 0, 0});
  CHECK(apply("isinf", DType::boolean) == std::vector<Number>{0, 1, 1, 0, 0, 0, 0});
  CHECK(apply("isfinite", DType::boolean) == std::vector<Number>{0, 0, 0, 1, 1, 1, 1});
  CHECK(apply("signbit", DType::boolean) == std::vector<Number>{0, 0, 1, 0, 1, 0, 1});
  CHECK(std::signbit(apply("neg")[3]));
  const auto sign = apply("sign");
  CHECK(std::isnan(sign[0]));
  CHECK(sign[1] == 1);
  CHECK(sign[2] == -1);
  CHECK(sign[3] == 0);
  CHECK(sign[5] == 1);
  CHECK(apply("sqrt")[1] == inf);
  CHECK(std::isnan(apply("sqrt")[2]));
  CHECK(apply("exp")[2] == 0);
  CHECK(apply("reciprocal")[3] == inf);
  CHECK(apply("reciprocal")[4] == -inf);
  CHECK(std::fabs(apply("tanh")[1] - 1) <= 5 * ulp_at(DType::f32, 1));
  CHECK(apply("sigmoid")[2] == 0);
  HostTensor x = HostTensor::of(DType::f32, {3}, {nan, inf, -inf}), out(DType::f32, {3});
  must_call("nan_to_num", {&x, 7.0, std::monostate(), -2.0, &out});
  CHECK(out.get(0) == 7);
  CHECK(out.get(1) == std::numeric_limits<float>::max());
  CHECK(out.get(2) == -2);
  HostTensor up = HostTensor::of(DType::f32, {4}, {1, 0, 0, nan}),
             to = HostTensor::of(DType::f32, {4}, {2, 1, -1, 1});
  HostTensor next(DType::f32, {4});
  must_call("nextafter", {&up, &to, &next});
  CHECK(next.get(0) == std::nextafter(1.0F, 2.0F));
  CHECK(next.get(1) == std::numeric_limits<float>::denorm_min());
  CHECK(next.get(2) == -std::numeric_limits<float>::denorm_min());
  CHECK(std::isnan(next.get(3)));
}

TEST_CASE("engine: integers wrap, and division by 0 is defined") {
  HostTensor x = HostTensor::of(DType::i32, {4}, {2147483647, -2147483648.0L, 7, -7});
  HostTensor y = HostTensor::of(DType::i32, {4}, {1, -1, 0, 2}), out(DType::i32, {4});
  must_call("add", {&x, &y, std::int64_t{1}, &out});
  CHECK(out.get(0) == -2147483648.0L);
  CHECK(out.get(1) == 2147483647);
  must_call("floor_divide", {&x, &y, &out});
  CHECK(out.get(3) == -4);
  must_call("remainder", {&x, &y, &out});
  CHECK(out.get(2) == 7);
  CHECK(out.get(3) == 1);
  HostTensor base = HostTensor::of(DType::i32, {4}, {2, -2, -1, 5}),
             power = HostTensor::of(DType::i32, {4}, {-1, 3, -3, -2});
  must_call("pow", {&base, &power, &out});
  CHECK(out.values() == std::vector<Number>{0, -8, -1, 0});
  HostTensor truth = HostTensor::of(DType::boolean, {2}, {0, 1}), other(DType::boolean, {2});
  must_call("bitwise_not", {&truth, &other});
  CHECK(other.values() == std::vector<Number>{1, 0});
}

TEST_CASE("engine: truth values with numbers, and what is left of other types") {
  using I = std::int64_t;
  HostTensor x = HostTensor::of(DType::boolean, {4}, {0, 1, 0, 1}),
             y = HostTensor::of(DType::boolean, {4}, {0, 0, 1, 1}), truth(DType::boolean, {4}),
             whole(DType::i64, {4});
  const auto gives = [&](const char* op, Arguments arguments, HostTensor& out,
                         const std::vector<Number>& expected) {
    arguments.emplace_back(&out);
    must_give(op, arguments, out,
              [&](const Shape& i) { return expected[static_cast<std::size_t>(i[0])]; });
  };
  gives("add", {&x, &y, I{1}}, whole, {0, 1, 1, 2});
  gives("add.Scalar", {&x, I{5}, I{2}}, whole, {10, 11, 10, 11});
  gives("mul.Scalar", {&x, I{3}}, whole, {0, 3, 0, 3});
  gives("eq.Scalar", {&x, I{1}}, truth, {0, 1, 0, 1});
  gives("ne.Scalar", {&x, I{1}}, truth, {1, 0, 1, 0});
  gives("lt.Scalar", {&x, I{1}}, truth, {1, 0, 1, 0});
  gives("le.Scalar", {&x, I{0}}, truth, {1, 0, 1, 0});
  gives("gt.Scalar", {&x, I{0}}, truth, {0, 1, 0, 1});
  gives("ge.Scalar", {&x, I{1}}, truth, {0, 1, 0, 1});
  HostTensor bytes = HostTensor::of(DType::u8, {4}, {0, 3, 200, 9}), held(DType::u8, {4});
  gives("clamp", {&bytes, I{2}, I{9}}, held, {2, 3, 9, 9});
  gives("hardtanh", {&bytes, I{1}, I{9}}, held, {1, 3, 9, 9});
  if (!Fixture::get().computes_in(DType::f64)) return;
  HostTensor up = HostTensor::of(DType::f64, {2}, {1, 0}),
             to = HostTensor::of(DType::f64, {2}, {2, -1}), next(DType::f64, {2});
  must_give("nextafter", {&up, &to, &next}, next, [](const Shape& i) {
    return i[0] == 0 ? std::nextafter(1.0, 2.0) : std::nextafter(0.0, -1.0);
  });
}

TEST_CASE("engine: bad input is refused with a sentence, and nothing is queued") {
  HostTensor x = counting(DType::f32, {3, 4}), y = counting(DType::f32, {3, 5}),
             out(DType::f32, {3, 4});
  HostTensor small(DType::f32, {3}), deep(DType::f32, Shape(17, 1)), truth(DType::boolean, {3, 4});
  HostTensor whole = counting(DType::i32, {3, 4});
  must_refuse("add", {&x, &y, std::int64_t{1}, &out},
              "add: other does not fit: shapes [3, 4] and [3, 5] cannot be broadcast");
  must_refuse("neg", {&x, &small}, "neg: out is of shape [3], and [3, 4] is needed");
  must_refuse("neg", {&deep, &out}, "neg: input is of rank 17; 16 is the most");
  must_refuse("neg", {&truth, &out}, "computation in bool");
  must_refuse("exp", {&x, &whole}, "exp: out is of int32, which cannot take results of float32");
  must_refuse("gelu", {&x, std::string("erf"), &out},
              "gelu: approximate is 'erf'; known are none, tanh");
  must_refuse("neg", {std::monostate(), &out}, "neg: input is NULL");
  must_refuse("neg", {&x}, "neg: 1 arguments were given, and it takes 2");
  must_refuse("isclose", {&x, &x, 0.1, 0.1, std::int64_t{3}, &truth}, "isclose: equal_nan is 3");
  must_refuse("where", {&x, &x, &x, &out}, "where: condition is of float32; bool is needed");

  const flagos_address_t memory = fixture().upload(x);
  const auto refuse = [&](const std::function<void(flagos_tensor_t&)>& spoil,
                          const std::string& words,
                          flagos_status_t wanted = FLAGOS_STATUS_INVALID_ARGUMENT) {
    flagos_tensor_t in = describe(x, memory);
    const flagos_tensor_t target = in;
    spoil(in);
    CHECK(flagos_ops_neg(fixture().stream(), &in, &target) == wanted);
    CHECK_MESSAGE(std::string(flagos_last_error()).find(words) != std::string::npos,
                  std::string(flagos_last_error()));
  };
  const std::int64_t negative[] = {3, -4}, huge[] = {1LL << 40, 1LL << 40}, wide[] = {1 << 20, 1};
  refuse([](auto& t) { t.struct_size = 8; }, "has struct_size 8",
         FLAGOS_STATUS_INVALID_STRUCT_SIZE);
  refuse([](auto& t) { t.dtype = 0x00010409; },
         "is of dtype 0x00010409, which operators do not know");
  refuse([](auto& t) { t.shape = nullptr; }, "is of rank 2, and its shape is NULL");
  refuse([&](auto& t) { t.shape = negative; }, "has -4 elements along dimension 1");
  refuse(
      [&](auto& t) {
        t.shape = huge;
        t.strides = nullptr;
      },
      "does not fit into 64 bits");
  refuse([&](auto& t) { t.strides = wide; }, "leaves its allocation");
  refuse([](auto& t) { t.address = 0; }, "its address is 0");
  refuse([](auto& t) { t.address += 1; }, "not aligned for float32");
  flagos_tensor_t in = describe(x, memory), target = in;
  target.flags = FLAGOS_TENSOR_FLAG_READ_ONLY;
  CHECK(flagos_ops_neg(fixture().stream(), &in, &target) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(flagos_ops_neg(nullptr, &in, &in) == FLAGOS_STATUS_INVALID_HANDLE);
  fixture().free(memory);
}

TEST_CASE("engine: a captured call runs with the graph, as often as it is launched") {
  HostTensor x = counting(DType::f32, {1000});
  const flagos_address_t memory = fixture().upload(x);
  const flagos_tensor_t tensor = describe(x, memory);
  flagos_stream_t* const stream = fixture().stream();
  REQUIRE(flagos_ops_neg(stream, &tensor, &tensor) == FLAGOS_STATUS_OK);  // the kernel is there
  REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
  const flagos_scalar_t one = {FLAGOS_DTYPE_INT64, 0, 1};
  CHECK(flagos_ops_add_scalar(stream, &tensor, &one, &one, &tensor) == FLAGOS_STATUS_OK);
  flagos_graph_t* graph = nullptr;
  REQUIRE(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_OK);
  flagos_graph_exec_t* exec = nullptr;
  REQUIRE(flagos_graph_instantiate(graph, &exec) == FLAGOS_STATUS_OK);
  for (int i = 0; i < 3; ++i) REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
  HostTensor out(DType::f32, {1000});
  fixture().download(out, memory);
  REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
  for (std::int64_t i = 0; i < out.elements(); ++i) REQUIRE(out.get(i) == 3 - x.get(i));
  CHECK(flagos_graph_exec_destroy(exec) == FLAGOS_STATUS_OK);
  CHECK(flagos_graph_destroy(graph) == FLAGOS_STATUS_OK);
  fixture().free(memory);
}

// Run by ctest (ops_ahead_of_time) without a compiler and without a cache.
TEST_CASE("engine: what was compiled at build runs without a compiler" *
          doctest::skip(std::getenv("FLAGOS_OPS_TEST_AHEAD_OF_TIME") == nullptr)) {
  static std::string said;
  const auto listen = [](void*, flagos_log_level_t, const char* text) { said += text; };
  flagos_set_log_callback(listen, nullptr, FLAGOS_LOG_LEVEL_WARNING);
  HostTensor x = counting(DType::f32, {5000}), y = counting(DType::f32, {5000}),
             out(DType::f32, {5000});
  must_call("mul", {&x, &y, &out});
  for (std::int64_t i = 0; i < out.elements(); ++i) REQUIRE(out.get(i) == x.get(i) * y.get(i));
  CHECK(said == "");  // no warning that it is interpreted
  // What was not is interpreted, and says so.
  HostTensor few = counting(DType::f32, {3, 4}, Placement::transposed), sum(DType::f32, {3, 4});
  must_call("neg", {&few, &sum});
  CHECK(sum.get(1) == -few.get(1));
  CHECK_MESSAGE(said.find("interpreted") != std::string::npos, said);
  flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_WARNING);
}
