// Simplified modules: smaller, and the same to the interpreter.
#include "compiler/simplify.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "compiler/random_module.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

std::string body_of(const std::string& body, const std::string& arguments = "%x: ptr<f32>, %n: i32") {
  const std::string text =
      print(simplify(load(fmt::format("flagos.tile 1.0\nkernel @t({}) {{\n{}}}\n", arguments, body))));
  const std::size_t start = text.find("{\n", text.find("kernel")) + 2;
  return text.substr(start, text.rfind('}') - start);
}

std::vector<std::vector<std::byte>> run(const Module& module, const RandomModule& made, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::vector<std::byte>> memory;
  for (std::size_t i = 0; i < made.buffers.size(); ++i) {
    const DType dtype = made.buffers[i];
    Words words(RandomModule::elements);
    for (std::uint64_t& word : words) {
      const double number = std::ldexp(static_cast<double>(random() % 2048) - 1024, -6);
      word = i >= made.inputs ? 0 : is_float(dtype) ? encode_float(dtype, number) : encode_int(dtype, random());
    }
    memory.push_back(pack({fmt::format("tile<64x{}>", info(dtype).name), words}));
  }
  std::vector<ArgumentValue> arguments;
  for (std::vector<std::byte>& buffer : memory)
    arguments.push_back({reinterpret_cast<std::uintptr_t>(buffer.data()), buffer.size()});
  Launch launch;
  launch.grid = {2, 1, 1};
  launch.arguments = arguments;
  interpret(module, module.kernels[0], launch);
  return memory;
}

std::size_t count(const Block& block) {
  std::size_t ops = block.ops.size();
  for (const Op& op : block.ops)
    for (const Block& region : op.regions) ops += count(region);
  return ops;
}

}  // namespace

TEST_CASE("constants are folded, equal operations done once, unused ones left out") {
  CHECK(body_of(R"(%v = view %x, %n {shape=[?], strides=[1]} : view<f32, 1>
%a = const {value=3} : i32
%b = const {value=4} : i32
%c = mul %a, %b : i32
%d = add %n, %c : i32
%e = const {value=12} : i32
%f = add %n, %e : i32
%g = sub %d, %f : i32
%u = load %v, %g : tile<8xf32>
%s = load %v, %f : f32
store %v, %d, %s
)") == R"(  %0 = view %x, %n {shape=[?], strides=[1]} : view<f32, 1>
  %1 = const {value=12} : i32
  %2 = add %n, %1 : i32
  %3 = load %0, %2 : f32
  store %0, %2, %3
)");
}

TEST_CASE("what a loop does not change is done before it; memory is read where it was") {
  CHECK(body_of(R"(%v = view %x, %n {shape=[?], strides=[1]} : view<f32, 1>
%z = const {value=0} : i32
%one = const {value=1} : i32
for %z, %n, %one do (%i: i32) {
%t = mul %n, %n : i32
%w = view %x, %t {shape=[?], strides=[1]} : view<f32, 1>
%j = add %i, %t : i32
%s = load %w, %z : f32
store %v, %j, %s
yield
}
)") == R"(  %0 = view %x, %n {shape=[?], strides=[1]} : view<f32, 1>
  %1 = const {value=0} : i32
  %2 = const {value=1} : i32
  %3 = mul %n, %n : i32
  %4 = view %x, %3 {shape=[?], strides=[1]} : view<f32, 1>
  for %1, %n, %2 do (%5: i32) {
    %6 = add %5, %3 : i32
    %7 = load %4, %1 : f32
    store %0, %6, %7
    yield
  }
)");
}

TEST_CASE("one branch does not see what the other did") {
  const std::string body = body_of(R"(%v = view %x, %n {shape=[?], strides=[1]} : view<f32, 1>
%z = const {value=0} : i32
%c = lt %n, %z : i1
if %c then {
%a = add %n, %n : i32
%s = load %v, %a : f32
store %v, %z, %s
yield
} else {
%b = add %n, %n : i32
%r = load %v, %b : f32
store %v, %b, %r
yield
}
)");
  std::size_t adds = 0;
  for (std::size_t at = body.find(" add "); at != std::string::npos; at = body.find(" add ", at + 1)) ++adds;
  CHECK(adds == 2);
}

TEST_CASE("random modules mean the same when they are simplified") {
  const char* given = std::getenv("FLAGOS_TEST_SEED");
  const std::uint64_t first = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  MESSAGE("seed ", first);
  std::size_t before = 0, after = 0;
  for (std::uint64_t seed = first; seed < first + 1000; ++seed) {
    CAPTURE(seed);
    const RandomModule made = make_random_module(seed);
    CAPTURE(made.text);
    const Module module = load(made.text);
    const Module small = simplify(module);
    load(print(small));  // it is accepted
    before += count(module.kernels[0].body);
    after += count(small.kernels[0].body);
    REQUIRE(run(small, made, seed) == run(module, made, seed));
  }
  CHECK(after < before);
}
