// From a module to the source text of a target: verified, simplified, then printed in a dialect. lower_<schedule>.cpp
// decides how a program is laid out, print_<dialect>.cpp how the language spells it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/assertion.hpp"
#include "compiler/module.hpp"

namespace flagos::compiler {

enum class Schedule : std::uint8_t {
  serial,     // one thread runs a program: explicit vectors
  simt,       // a group of threads runs a program
  tile_calls  // one call for each operation, on on-chip buffers
};

enum class Dialect : std::uint8_t { gnu_cxx, opencl_c, glsl, cuda_c, tile_c };

// What the text is made for. Written "dialect;name=value;...", such as "gnu-c++;isa=x86-64-v4" or
// "opencl-c;schedule=simt;threads=128;local=32768;no=f64". A name that is not there has the dialect's default.
struct Target {
  Dialect dialect = Dialect::gnu_cxx;
  Schedule schedule = Schedule::serial;
  std::string isa;                         // isa=: x86-64-v2 to -v4, -v4+bf16, -v4+amx, aarch64, sm_90; "" is portable
  std::uint32_t vector_bits = 256;         // vector=: of the explicit vectors of serial; the default is the isa's
  std::uint32_t threads = 128;             // threads=: of a group, in simt
  std::uint64_t local_bytes = 32768;       // local=: memory that a group, or an on-chip buffer, has
  std::uint64_t scratch_bytes = 64 << 20;  // scratch=: of one program, in serial
  std::uint32_t unroll = 64;               // unroll=: copies of a statement at most
  std::vector<std::string> without;        // no=f64,f16,i64,atomic64,mma_f8: what the device lacks

  bool lacks(std::string_view feature) const {
    return std::find(without.begin(), without.end(), feature) != without.end();
  }
};
// Throws INVALID_ARGUMENT naming the part that is wrong.
Target parse_target(std::string_view text);
std::string print_target(const Target& target);

// How a kernel of the printed text is launched. The grid is in programs, as the caller gave it.
struct LaunchRecord {
  std::string kernel;                      // the name in the text: as in the module, or as `entry_of` makes it
  std::uint32_t threads = 1;               // block is {threads, 1, 1}
  std::uint64_t shared_bytes = 0;          // dynamic, beside what the text declares itself
  std::uint64_t scratch_bytes = 0;         // of each program, declared by the text itself
  bool fails = false;                      // has an assert: takes the word of failure, as the dialect's plugin knows it
  std::vector<Assertion> assertions = {};  // what that word may say, where the text does not say it itself
};

struct Lowered {
  std::string source;
  std::vector<LaunchRecord> kernels;  // in the order of the module
  std::vector<std::string> options;   // what the dialect's compiler is given beside the text, such as -O2
};

// A kernel's name in a language whose own functions and words it could be one of (`max`, `main`, `double`).
std::string entry_of(const Kernel& kernel);

// Throws UNSUPPORTED where the target lacks what an operation needs, naming operation, place and reason. The arguments
// of a printed kernel are those of the module, each at its natural alignment behind the one before.
Lowered lower(const Module& module, const Target& target);

}  // namespace flagos::compiler
