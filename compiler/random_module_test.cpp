// Random modules: accepted, canonical, bounded by their own memory, and the same result again.
#include "compiler/random_module.hpp"

#include <doctest/doctest.h>

#include <set>

#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

using Memory = std::vector<std::vector<std::byte>>;

Memory make_memory(const RandomModule& module, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Memory memory;
  for (std::size_t i = 0; i < module.buffers.size(); ++i) {
    const DType dtype = module.buffers[i];
    Words words(RandomModule::elements);
    for (std::uint64_t& word : words) {
      const double number = std::ldexp(static_cast<double>(random() % 2048) - 1024, -6);
      word = i >= module.inputs ? 0 : is_float(dtype) ? encode_float(dtype, number) : encode_int(dtype, random());
    }
    memory.push_back(pack({fmt::format("tile<64x{}>", info(dtype).name), words}));
  }
  return memory;
}

Memory run(const Module& module, const RandomModule& made, std::uint64_t seed) {
  Memory memory = make_memory(made, seed);
  std::vector<ArgumentValue> arguments;
  for (std::vector<std::byte>& buffer : memory)
    arguments.push_back({reinterpret_cast<std::uintptr_t>(buffer.data()), buffer.size()});
  Launch launch;
  launch.grid = {2, 1, 1};
  launch.arguments = arguments;
  interpret(module, module.kernels[0], launch);
  return memory;
}

void collect(const Block& block, std::set<OpCode>& used) {
  for (const Op& op : block.ops) {
    used.insert(op.code);
    for (const Block& region : op.regions) collect(region, used);
  }
}

}  // namespace

TEST_CASE("random modules") {
  const char* given = std::getenv("FLAGOS_TEST_SEED");
  const std::uint64_t first = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  MESSAGE("seed ", first);
  std::set<OpCode> used;
  int written = 0;
  for (std::uint64_t seed = first; seed < first + 2000; ++seed) {
    CAPTURE(seed);
    const RandomModule made = make_random_module(seed);
    REQUIRE(make_random_module(seed).text == made.text);
    CAPTURE(made.text);
    const Module module = load(made.text);
    REQUIRE(print(module) == made.text);
    collect(module.kernels[0].body, used);
    const Memory before = make_memory(made, seed);
    const Memory after = run(module, made, seed);
    for (std::size_t i = 0; i < made.inputs; ++i) REQUIRE(after[i] == before[i]);
    REQUIRE(run(module, made, seed) == after);
    written += after != before;
  }
  CHECK(written > 1500);
  // Every elementwise operation, and most of the others.
  for (std::size_t i = 0; i < op_table().size(); ++i) {
    CAPTURE(op_table()[i].name);
    if (op_table()[i].is_elementwise()) CHECK(used.count(static_cast<OpCode>(i)) == 1);
  }
  CHECK(used.size() > 60);
}
