// Targets as text, and which lowering a target is given to.
#include <doctest/doctest.h>

#include "compiler/lower.hpp"
#include "compiler/test_support.hpp"

using namespace flagos;
using namespace flagos::compiler;

namespace {

std::string refusal_of(std::string_view target) {
  try {
    parse_target(target);
  } catch (const Error& error) {
    CHECK(error.status() == FLAGOS_STATUS_INVALID_ARGUMENT);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a target's parts, and their defaults") {
  const Target cpu = parse_target("gnu-c++");
  CHECK(cpu.schedule == Schedule::serial);
  CHECK(cpu.isa.empty());
  CHECK(cpu.vector_bits == 128);
  CHECK(parse_target("gnu-c++;isa=x86-64-v3").vector_bits == 256);
  CHECK(parse_target("gnu-c++;isa=x86-64-v4+amx").vector_bits == 512);
  CHECK(parse_target("gnu-c++;isa=x86-64-v4+bf16").vector_bits == 512);
  CHECK(parse_target("gnu-c++;vector=256;isa=x86-64-v4").vector_bits == 256);

  const Target gpu = parse_target("opencl-c;threads=64;local=65536;no=f64,f16,f64;unroll=8");
  CHECK(gpu.dialect == Dialect::opencl_c);
  CHECK(gpu.schedule == Schedule::simt);
  CHECK(gpu.threads == 64);
  CHECK(gpu.local_bytes == 65536);
  CHECK(gpu.unroll == 8);
  CHECK(gpu.without == std::vector<std::string>{"f16", "f64"});
  CHECK(parse_target("opencl-c;schedule=serial").schedule == Schedule::serial);
  CHECK(parse_target("tile-c").schedule == Schedule::tile_calls);
  CHECK(parse_target("cuda-c;isa=sm_90").isa == "sm_90");
}

TEST_CASE("a target's text has one form") {
  for (const char* text :
       {"gnu-c++", "gnu-c++;isa=x86-64-v4+amx", "gnu-c++;isa=x86-64-v4;vector=256", "glsl;no=f16,f64",
        "opencl-c;schedule=serial;threads=1;local=1024;scratch=4096;unroll=2", "tile-c;local=196608"})
    CHECK(print_target(parse_target(text)) == text);
  CHECK(print_target(parse_target("cuda-c;threads=128;isa=sm_80;schedule=simt")) == "cuda-c;isa=sm_80");
}

TEST_CASE("what is wrong with a target is named") {
  CHECK(refusal_of("") == "target '': '' is no dialect; there are gnu-c++, opencl-c, glsl, cuda-c and tile-c");
  CHECK(refusal_of("gnu-c++;").find("'' is not known") != std::string::npos);
  CHECK(refusal_of("glsl;threads=0").find("'threads=0' is no number from 1 to 1024") != std::string::npos);
  CHECK(refusal_of("glsl;threads=12x").find("'threads=12x'") != std::string::npos);
  CHECK(refusal_of("glsl;no=f64,f17").find("names 'f17'") != std::string::npos);
  CHECK(refusal_of("glsl;schedule=warp").find("'schedule=warp'") != std::string::npos);
  CHECK(refusal_of("gnu-c++;isa=v4 -fplugin=x").find("is no instruction set") != std::string::npos);
  CHECK(refusal_of("gnu-c++;vector=96").find("is no power of two") != std::string::npos);
  CHECK(refusal_of("gnu-c++;colour=red").find("'colour=red' is not known") != std::string::npos);
}
