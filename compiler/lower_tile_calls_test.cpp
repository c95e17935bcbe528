// What tile calls refuse, and what their text says. That the calls compute the right thing is tests/lowering.
#include <doctest/doctest.h>

#include "compiler/lower.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

const std::string kChain =
    "flagos.tile 1.0\nkernel @k(%x: ptr<f32>) hints(hint.dsa.buffers=2) {\n%v = view %x {shape=[256], strides=[1]} : "
    "view<f32, "
    "1>\n%z = const {value=0} : i32\n%a = load %v, %z : tile<256xf32>\n%b = exp %a : tile<256xf32>\n%c = neg %b : "
    "tile<256xf32>\n%d = exp %c : tile<256xf32>\nstore %v, %z, %d\n}\n";

}  // namespace

TEST_CASE("tile calls: buffers are used again, and what does not fit is said with its place") {
  const Lowered lowered = lower(load(kChain), parse_target("tile-c"));
  REQUIRE(lowered.kernels.size() == 1);
  CHECK(lowered.kernels[0].scratch_bytes == 2048);  // operand and result: the third is where the first was
  CHECK(lowered.source.find("TK_ONCHIP(2048)") != std::string::npos);
  CHECK(lowered.source.find("TK_BUFFERS(2)") != std::string::npos);
  CHECK_THROWS_WITH(
      lower(load(kChain), parse_target("tile-c;local=2047")),
      "line 6, column 1: exp: its buffers need 2048 bytes on the chip, and the target has 2047; smaller tiles "
      "need less");
}

TEST_CASE("tile calls: one call for each operation") {
  const std::string source = lower(load(kChain), parse_target("tile-c")).source;
  std::size_t calls = 0;
  for (std::size_t at = source.find("TK_KERNEL(k"); (at = source.find("\ntk_", at)) != std::string::npos; ++at) ++calls;
  CHECK(calls == 5);  // load, exp, neg, exp, store
}

TEST_CASE("tile calls are printed in tile-c alone") {
  CHECK_THROWS_WITH(lower(load(kChain), parse_target("opencl-c;schedule=tile-calls")),
                    "target 'opencl-c;schedule=tile-calls': tile calls are printed in tile-c alone");
}
