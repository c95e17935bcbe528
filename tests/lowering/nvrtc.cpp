// Kernels lowered to CUDA C++ and compiled for GPUs that need not be there; registers and spills are reported.
//
// usage: flagos_lowering_nvrtc_test [--count N] [--seed S] [--print]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "base/dynamic_library.hpp"
#include "base/error.hpp"
#include "compiler/lower.hpp"
#include "compiler/parser.hpp"
#include "compiler/verifier.hpp"
#include "tests/lowering/cases.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

using Program = void*;
struct Nvrtc {
  int (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*);
  int (*compile)(Program, int, const char* const*);
  int (*log_size)(Program, std::size_t*);
  int (*log)(Program, char*);
  int (*cubin_size)(Program, std::size_t*);
  int (*destroy)(Program*);
};

struct Result {
  bool compiled = false;
  std::string log;
  std::size_t bytes = 0;
};

Result compile(const Nvrtc& nvrtc, const std::string& source, const std::string& architecture) {
  Program program = nullptr;
  if (nvrtc.create(&program, source.c_str(), "kernels.cu", 0, nullptr, nullptr) != 0) return {};
  const std::string target = "--gpu-architecture=" + architecture;
  const char* options[] = {target.c_str(), "--ptxas-options=-v"};
  Result result;
  result.compiled = nvrtc.compile(program, 2, options) == 0;
  std::size_t size = 0;
  nvrtc.log_size(program, &size);
  result.log.resize(size);
  nvrtc.log(program, result.log.data());
  if (result.compiled) nvrtc.cubin_size(program, &result.bytes);
  nvrtc.destroy(&program);
  return result;
}

int run(const Nvrtc& nvrtc, std::uint64_t count, std::uint64_t seed, bool print) {
  fmt::print("seed {}\n", seed);
  std::vector<Case> cases = sample_cases(seed);
  for (Case& made : product_cases(seed))
    if (made.name.find(" 64x64x32") != std::string::npos) cases.push_back(std::move(made));
  const std::size_t samples = cases.size();
  std::vector<Case> directed = directed_cases(seed);
  std::shuffle(directed.begin(), directed.end(), std::mt19937_64(seed));
  if (!print) directed.resize(30);
  std::move(directed.begin(), directed.end(), std::back_inserter(cases));
  for (std::uint64_t i = 0; i < count; ++i)
    cases.push_back(make_case(make_random_module(seed + i), seed + i));
  int failed = 0, spilled = 0;
  std::size_t compiled = 0;
  for (const std::string architecture : {"sm_80", "sm_90"}) {
    const Target target = parse_target("cuda-c;local=49152;isa=" + architecture);
    for (std::size_t i = 0; i < cases.size(); ++i) {
      // The samples and the large products for both; the rest for one.
      if (i >= samples && architecture == "sm_80") break;
      Module module = parse(cases[i].text);
      verify(module);
      const Result result = compile(nvrtc, lower(module, target).source, architecture);
      if (!result.compiled || result.bytes == 0) {
        ++failed;
        fmt::print("WRONG {} for {}: {}\n", cases[i].name, architecture,
                   result.log.substr(0, 2000));
        continue;
      }
      ++compiled;
      std::smatch found;
      std::string report = "no report";
      if (std::regex_search(result.log, found, std::regex("Used ([0-9]+) registers")))
        report = found[1].str() + " registers";
      std::string spills = "0";
      if (std::regex_search(result.log, found, std::regex("([0-9]+) bytes spill stores")))
        spills = found[1].str();
      if (i < samples || print)
        fmt::print("{} {}: {}, {} bytes spilled\n", architecture, cases[i].name, report, spills);
      if (i < samples && spills != "0") ++spilled;
    }
  }
  fmt::print("{} kernels compiled, {} failed, {} samples spill\n", compiled, failed, spilled);
  return failed == 0 && spilled == 0 && compiled > 0 ? 0 : 1;
}

std::unique_ptr<DynamicLibrary> open_first(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    try {
      return std::make_unique<DynamicLibrary>(name);
    } catch (const Error&) {
      continue;
    }
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t count = 20, seed = std::random_device()();
  if (const char* given = std::getenv("FLAGOS_TEST_SEED")) seed = std::strtoull(given, nullptr, 10);
  bool print = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--print") == 0) print = true;
    if (std::strcmp(argv[i], "--count") == 0 && i + 1 < argc)
      count = std::strtoull(argv[++i], nullptr, 10);
    if (std::strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
      seed = std::strtoull(argv[++i], nullptr, 10);
  }
  std::vector<std::string> names = {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"};
  for (const char* variable : {"CUDA_PATH", "CUDA_HOME"})
    if (const char* folder = std::getenv(variable))
      names.push_back(std::string(folder) + "/lib64/libnvrtc.so");
  names.emplace_back("/usr/local/cuda/lib64/libnvrtc.so");
  const std::unique_ptr<DynamicLibrary> library = open_first(names);
  if (!library) {
    fmt::print("skipped: NVRTC (libnvrtc.so) is not on this machine\n");
    return 77;
  }
  try {
    Nvrtc nvrtc{};
    const auto find = [&](auto& function, const char* symbol) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(library->symbol(symbol));
    };
    find(nvrtc.create, "nvrtcCreateProgram");
    find(nvrtc.compile, "nvrtcCompileProgram");
    find(nvrtc.log_size, "nvrtcGetProgramLogSize");
    find(nvrtc.log, "nvrtcGetProgramLog");
    find(nvrtc.cubin_size, "nvrtcGetCUBINSize");
    find(nvrtc.destroy, "nvrtcDestroyProgram");
    return run(nvrtc, count, seed, print);
  } catch (const std::exception& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
}
