// Routing between native and portable versions, on a plugin whose native ones answer 42 (testing/routing_plugin.cpp).
// The environment of this program: FLAGOS_OPS_PREFER=native,addmm=portable and a trace into FLAGOS_OPS_TRACE.
#include "ops/native.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "ops/testing/check.hpp"
#include "ops/testing/routing_plugin.hpp"

using namespace flagos::ops;
using namespace flagos::ops::testing;

namespace {

Fixture& fixture() { return Fixture::get(); }

// The lines of an earlier run go before the first call writes one.
[[maybe_unused]] const int removed = std::remove(std::getenv("FLAGOS_OPS_TRACE"));

// A product of ones: 3 where the portable kernel ran.
struct Ones {
  explicit Ones(std::int64_t rows)
      : a(DType::f32, {rows, 3}), b(DType::f32, {3, 4}), out(DType::f32, {rows, 4}) {
    a.fill([](std::int64_t) { return 1; });
    b.fill([](std::int64_t) { return 1; });
  }
  HostTensor a, b, out;
};

enum class Version { none, native, portable };

Version version_of(const HostTensor& out) {
  for (const Version version : {Version::native, Version::portable}) {
    const Number wanted = version == Version::native ? answer : 3;
    bool all = true;
    for (const Number value : out.values()) all = all && value == wanted;
    if (all) return version;
  }
  return Version::none;
}

Version run_mm(std::int64_t rows) {
  Ones ones(rows);
  must_call("mm", {&ones.a, &ones.b, &ones.out});
  return version_of(ones.out);
}

std::uint32_t index_of(const char* name) {
  std::uint32_t index = 0;
  REQUIRE(flagos_ops_find(name, &index) == FLAGOS_STATUS_OK);
  return index;
}

std::string trace() {
  std::ifstream in(std::getenv("FLAGOS_OPS_TRACE"));
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
void expect_traced(const std::string& line) {
  const std::string text = trace();
  CHECK_MESSAGE(text.find(line) != std::string::npos, line);
}

// Captures mm of so many rows, runs the graph twice, and tells what ran.
Version run_captured(std::int64_t rows) {
  Ones ones(rows);
  const flagos_address_t a = fixture().upload(ones.a), b = fixture().upload(ones.b),
                         out = fixture().upload(ones.out);
  const flagos_tensor_t ta = describe(ones.a, a), tb = describe(ones.b, b),
                        to = describe(ones.out, out);
  flagos_stream_t* const stream = fixture().stream();
  REQUIRE(flagos_stream_begin_capture(stream) == FLAGOS_STATUS_OK);
  const flagos_status_t status = flagos_ops_mm(stream, &ta, &tb, &to);
  REQUIRE_MESSAGE(status == FLAGOS_STATUS_OK, std::string(flagos_last_error()));
  flagos_graph_t* graph = nullptr;
  REQUIRE(flagos_stream_end_capture(stream, &graph) == FLAGOS_STATUS_OK);
  flagos_graph_exec_t* exec = nullptr;
  REQUIRE(flagos_graph_instantiate(graph, &exec) == FLAGOS_STATUS_OK);
  Version version = Version::none;
  for (int i = 0; i < 2; ++i) {
    const float zero = 0;
    REQUIRE(flagos_memory_fill(stream, out, &zero, sizeof(zero), ones.out.bytes().size()) ==
            FLAGOS_STATUS_OK);
    REQUIRE(flagos_graph_exec_launch(exec, stream) == FLAGOS_STATUS_OK);
    fixture().download(ones.out, out);
    REQUIRE(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK);
    const Version ran = version_of(ones.out);
    CHECK((i == 0 || ran == version));
    version = ran;
  }
  CHECK(flagos_graph_exec_destroy(exec) == FLAGOS_STATUS_OK);
  CHECK(flagos_graph_destroy(graph) == FLAGOS_STATUS_OK);
  for (const flagos_address_t address : {a, b, out}) fixture().free(address);
  return version;
}

}  // namespace

TEST_CASE("native: the device's version runs where it takes the call, else the portable kernel") {
  CHECK(run_mm(rows_taken) == Version::native);
  CHECK(run_mm(rows_workspace) == Version::native);
  CHECK(run_mm(rows_refused) == Version::portable);
  CHECK(run_mm(rows_unsuitable) == Version::portable);
  expect_traced(
      "flagos_ops: mm on routing:0: native; input [2, 3] float32, mat2 [3, 4] float32, out [2, 4] "
      "float32\n");
  expect_traced(
      "mm on routing:0: portable (the device does not take such a call); input [1, 3] float32");
  expect_traced("mm on routing:0: portable (the address does not suit); input [4, 3] float32");
}

TEST_CASE(
    "native: another schema is another operator, and an operator without a native version is "
    "portable") {
  std::uint32_t offered = 9;
  REQUIRE(flagos_ops_get_native(fixture().device(), index_of("mm"), &offered) == FLAGOS_STATUS_OK);
  CHECK(offered == 1);
  for (const char* const name : {"bmm", "mul"}) {
    REQUIRE(flagos_ops_get_native(fixture().device(), index_of(name), &offered) ==
            FLAGOS_STATUS_OK);
    CHECK(offered == 0);
  }
  HostTensor a(DType::f32, {2, 2, 3}), b(DType::f32, {2, 3, 4}), out(DType::f32, {2, 2, 4});
  for (HostTensor* tensor : {&a, &b}) tensor->fill([](std::int64_t) { return 1; });
  must_call("bmm", {&a, &b, &out});
  CHECK(version_of(out) == Version::portable);
  expect_traced("bmm on routing:0: portable; input [2, 2, 3] float32");
}

TEST_CASE("native: preferences, of the environment and of the program") {
  Ones ones(rows_taken);
  HostTensor zero(DType::f32, {});
  zero.fill([](std::int64_t) { return 0; });
  const auto addmm = [&] {
    must_call("addmm", {&zero, &ones.a, &ones.b, std::int64_t{1}, std::int64_t{1}, &ones.out});
    return version_of(ones.out);
  };
  CHECK(addmm() == Version::portable);  // FLAGOS_OPS_PREFER
  expect_traced("addmm on routing:0: portable (preferred)");
  REQUIRE(flagos_ops_set_preference("addmm", FLAGOS_OPS_PREFERENCE_NATIVE) == FLAGOS_STATUS_OK);
  CHECK(addmm() == Version::native);
  REQUIRE(flagos_ops_set_preference(nullptr, FLAGOS_OPS_PREFERENCE_PORTABLE) == FLAGOS_STATUS_OK);
  CHECK(addmm() == Version::portable);
  CHECK(run_mm(rows_taken) == Version::portable);
  REQUIRE(flagos_ops_set_preference("mm", FLAGOS_OPS_PREFERENCE_NATIVE) == FLAGOS_STATUS_OK);
  CHECK(run_mm(rows_taken) == Version::native);
  CHECK(addmm() == Version::portable);
  REQUIRE(flagos_ops_set_preference(nullptr, FLAGOS_OPS_PREFERENCE_NATIVE) == FLAGOS_STATUS_OK);
}

TEST_CASE("native: preferences that cannot be read name what is wrong") {
  const auto wrong = [](const char* text, const char* part) {
    std::string found;
    try {
      Preferences::get().read(text);
    } catch (const flagos::Error& error) {
      found = error.what();
      CHECK(error.status() == FLAGOS_STATUS_INVALID_ARGUMENT);
    }
    CHECK_MESSAGE(found.find(part) != std::string::npos, found);
  };
  wrong("fast", "FLAGOS_OPS_PREFER is 'fast': 'fast' is neither native nor portable");
  wrong("mm=", "'' is neither native nor portable");
  wrong("native,matrix=portable", "there is no operator 'matrix'");
  CHECK(flagos_ops_set_preference("matrix", FLAGOS_OPS_PREFERENCE_NATIVE) ==
        FLAGOS_STATUS_NOT_FOUND);
  CHECK(flagos_ops_set_preference("mm", 2) == FLAGOS_STATUS_INVALID_ARGUMENT);
  std::uint32_t offered = 9, count = 0;
  REQUIRE(flagos_ops_get_count(&count) == FLAGOS_STATUS_OK);
  CHECK(flagos_ops_get_native(fixture().device(), count, &offered) == FLAGOS_STATUS_NOT_FOUND);
  CHECK(offered == 0);
  CHECK(flagos_ops_get_native(nullptr, 0, &offered) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(flagos_ops_get_native(fixture().device(), 0, nullptr) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("native: a device is asked once for calls that are alike") {
  CHECK(run_mm(rows_once) == Version::native);
  CHECK(run_mm(rows_once) == Version::native);
  // Another shape is another call.
  HostTensor a(DType::f32, {rows_once, 3}), b(DType::f32, {3, 5}), out(DType::f32, {rows_once, 5});
  for (HostTensor* tensor : {&a, &b}) tensor->fill([](std::int64_t) { return 1; });
  must_call("mm", {&a, &b, &out});
  CHECK(version_of(out) == Version::portable);
}

TEST_CASE("native: every way of computing asks the device first, once its arguments are checked") {
  using Integers = std::vector<std::int64_t>;
  HostTensor x = counted(DType::f32, {3, 3}), out(DType::f32, {3, 3}), line(DType::f32, {3}),
             empty(DType::f32, {0, 3}), nothing(DType::f32, {0, 3});
  HostTensor places(DType::i64, {3, 3}), place(DType::i64, {3}), mask(DType::boolean, {3, 3});
  HostTensor joined(DType::f32, {6, 3}), turned(DType::f32, {3, 3}), lines(DType::i64, {3});
  const std::vector<std::pair<std::string, Arguments>> calls = {
      {"sum", {&x, Integers{1}, false, &line}},
      {"argmax", {&x, std::int64_t{1}, false, &lines}},
      {"var", {&x, Integers{0}, 1.0, false, &line}},
      {"cumsum", {&x, std::int64_t{0}, &out}},
      {"sort", {&x, std::int64_t{1}, false, &turned, &places}},
      {"softmax", {&x, std::int64_t{1}, &out}},
      {"scaled_dot_product_attention", {&x, &x, &x, {}, 0.0, false, {}, false, &out}},
      {"copy", {&x, &out}},
      {"cat", {std::vector<HostTensor*>{&x, &x}, std::int64_t{0}, &joined}},
      {"flip", {&x, Integers{0}, &out}},
      {"gather", {&x, std::int64_t{0}, &places, &out}},
      {"index.Tensor", {&x, std::vector<HostTensor*>{&place}, &out}},
      {"scatter_add", {&x, std::int64_t{0}, &places, &x, &out}},
      {"masked_fill", {&x, &mask, std::int64_t{1}, &out}},
      {"tril", {&x, std::int64_t{0}, &out}},
      {"embedding", {&x, &place, std::int64_t{-1}, &out}}};
  CHECK(calls.size() == std::size(always_taken));
  for (const auto& [name, arguments] : calls) {
    INFO(name);
    HostTensor& written = *std::get<HostTensor*>(arguments.back());
    written.fill([](std::int64_t) { return 7; });
    must_call(name, arguments);
    CHECK(version_of(written) == Version::native);
    if (written.dtype() == DType::i64) written.fill([](std::int64_t) { return 0; });
  }
  // Where there is nothing to compute nobody is asked.
  must_call("copy", {&empty, &nothing});
  must_refuse("copy", {&joined, &out}, "copy: input does not fit");
}

TEST_CASE("native: failures are those of the call") {
  Ones ones(rows_failing), broken(rows_broken);
  CHECK(fixture().call("mm", {&ones.a, &ones.b, &ones.out}) == FLAGOS_STATUS_OUT_OF_RESOURCES);
  CHECK(std::string(flagos_last_error()) == "the library is full");
  CHECK(fixture().call("mm", {&broken.a, &broken.b, &broken.out}) == FLAGOS_STATUS_INTERNAL);
  CHECK(std::string(flagos_last_error()) == "the library is broken");
  CHECK(run_mm(rows_taken) == Version::native);
}

TEST_CASE("native: what the operator refuses never reaches the device's version") {
  Ones broken(rows_broken);
  HostTensor other(DType::f32, {5, 4});
  must_refuse("mm", {&broken.a, &other, &broken.out},
              "mm: mat2 is of shape [5, 4], and input of shape [8, 3]");
  HostTensor none(DType::f32, {0, 3}), nothing(DType::f32, {0, 4});
  must_call("mm", {&none, &broken.b, &nothing});
}

TEST_CASE("native: in a capture, where the device's version can wait") {
  CHECK(run_captured(rows_taken) == Version::native);
  CHECK(run_captured(rows_workspace) == Version::native);
  CHECK(run_captured(rows_at_once) == Version::portable);
  CHECK(run_mm(rows_at_once) == Version::native);
}
