// Kernels lowered for a device, run on it, and compared with the interpreter.
//
// --count random modules, one in --part of the directed cases (another sample for each seed), --batch kernels in a text.
// usage: flagos_lowering_test PLUGIN FORMAT TARGET [--count N] [--seed S]  <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>

#include "base/error.hpp"
#include "compiler/parser.hpp"
#include "compiler/verifier.hpp"
#include "tests/lowering/cases.hpp"
#include "tests/lowering/device.hpp"

using namespace flagos;
using namespace flagos::compiler;
using namespace flagos::compiler::test;

namespace {

struct Options {
  std::string plugin, format, target, cases = "";
  std::uint64_t count = 60, seed = 0, batch = 16, part = 1;
  bool print = false;
};

// A plugin's device; "twin:FOLDER" is the twin, whose header is in FOLDER; "cuda-twin:FOLDER" that of CUDA C++, and
// "bf16-twin:FOLDER" that of a processor's instructions for bf16, where FOLDER holds the sources.
std::unique_ptr<Runner> open_runner(const Options& options) {
  if (options.plugin.rfind("twin:", 0) == 0)
    return std::make_unique<Twin>(options.plugin.substr(5));
  if (options.plugin.rfind("cuda-twin:", 0) == 0)
    return std::make_unique<CudaTwin>(options.plugin.substr(10));
  if (options.plugin.rfind("bf16-twin:", 0) == 0)
    return std::make_unique<Bf16Twin>(options.plugin.substr(10));
  return std::make_unique<Device>(options.plugin);
}

struct Totals {
  Counted counted;
  std::size_t kernels = 0, failed = 0, refused = 0;
};

void shift_files(Block& block, std::int32_t by) {
  for (Op& op : block.ops) {
    if (op.file >= 0) op.file += by;
    for (Block& region : op.regions) shift_files(region, by);
  }
}

// One text for many kernels, since compilers start slowly.
void run_batch(Runner& device, const Options& options, const std::vector<Case>& cases,
               Totals& totals) {
  const Target target = parse_target(options.target);
  Module all;
  std::vector<const Case*> taken;
  for (const Case& made : cases) {
    Module module = parse(made.text);
    verify(module);
    module.kernels[0].name = fmt::format("k{}", taken.size());
    try {
      lower(module, target);
    } catch (const Error& error) {
      if (error.status() != FLAGOS_STATUS_UNSUPPORTED) throw;
      fmt::print("  {} is refused: {}\n", made.name, error.what());
      ++totals.refused;
      continue;
    }
    shift_files(module.kernels[0].body, static_cast<std::int32_t>(all.files.size()));
    all.files.insert(all.files.end(), module.files.begin(), module.files.end());
    all.kernels.push_back(std::move(module.kernels[0]));
    taken.push_back(&made);
  }
  if (taken.empty()) return;
  const Lowered lowered = lower(all, target);
  if (options.print) fmt::print("{}", lowered.source);
  Runner::Loaded module = device.load(options.format, lowered.source);
  for (std::size_t i = 0; i < taken.size(); ++i) {
    const auto results = device.run(module, lowered.kernels[i], *taken[i]);
    Tolerance tolerance;
    tolerance.flushes = options.format == "glsl";
    const std::string wrong = compare(*taken[i], results, tolerance, totals.counted);
    ++totals.kernels;
    if (wrong.empty()) continue;
    ++totals.failed;
    fmt::print("WRONG {}\n", wrong);
    if (options.print) fmt::print("{}\n", taken[i]->text);
  }
}

// An assertion that holds does nothing; one that does not ends its program, and the launch fails.
bool check_assertions(const Options& options) {
  const std::string text =
      "flagos.tile 1.0\nkernel @k(%x: ptr<i32>, %limit: i32) {\n%v = view %x {shape=[100], "
      "strides=[1]} : view<i32, 1>\n%z = "
      "const {value=0} : i32\n%o = const {value=1} : i32\nstore %v, %z, %o\n%a = load %v, %z : "
      "tile<100xi32>\n%l = full "
      "%limit : tile<100xi32>\n%c = lt %a, %l : tile<100xi1>\nassert %c {message=\"small\"}\n%d = "
      "lt %o, %limit : i1\nassert "
      "%d {message=\"one\"}\nstore %v, %o, %limit\n}\n";
  bool good = true;
  for (const std::int32_t limit : {1 << 30, 1}) {
    Case made;
    made.name = fmt::format("assert below {}", limit);
    made.text = text;
    made.arguments.push_back({DType::i32, std::vector<std::byte>(400), true});
    std::vector<std::byte> bytes(4);
    std::memcpy(bytes.data(), &limit, 4);
    made.arguments.push_back({DType::i32, bytes, false});
    Module module = parse(made.text);
    verify(module);
    const Lowered lowered = lower(module, parse_target(options.target));
    const std::unique_ptr<Runner> device = open_runner(options);
    flagos_status_t status = FLAGOS_STATUS_OK;
    try {
      const auto results =
          device->run(device->load(options.format, lowered.source), lowered.kernels[0], made);
      std::int32_t second = 0;
      std::memcpy(&second, &results[0][4], 4);
      if (second != limit) status = FLAGOS_STATUS_INTERNAL;
    } catch (const Error& error) {
      status = error.status();
    }
    const flagos_status_t wanted = limit == 1 ? FLAGOS_STATUS_EXECUTION_FAILED : FLAGOS_STATUS_OK;
    if (status != wanted)
      fmt::print("WRONG {}: {}, not {}\n", made.name, flagos_status_get_name(status),
                 flagos_status_get_name(wanted));
    good &= status == wanted;
  }
  return good;
}

// Kernels that are called like functions and words of the languages that they are printed in.
bool check_names(const Options& options) {
  constexpr const char* names[] = {
      "max",    "dot",           "main",           "kernel", "double", "printf",   "barrier",
      "float4", "get_global_id", "threadIdx",      "t",      "L",      "load_f32", "fl_exp_f32",
      "FAIL",   "a__b",          "gl_WorkGroupID", "7up"};
  std::string text = "flagos.tile 1.0\n";
  int number = 0;
  for (const char* const name : names)
    text += fmt::format(
        "kernel @{}(%x: ptr<i32>) {{\n%v = view %x {{shape=[4], strides=[1]}} : view<i32, 1>\n%z = "
        "const {{value=0}} "
        ": i32\n%t = const {{value={}}} : tile<4xi32>\nstore %v, %z, %t\n}}\n",
        name, ++number);
  const Module module = parse(text);
  verify(module);
  const Lowered lowered = lower(module, parse_target(options.target));
  const std::unique_ptr<Runner> device = open_runner(options);
  const Runner::Loaded loaded = device->load(options.format, lowered.source);
  bool good = true;
  for (std::size_t i = 0; i < std::size(names); ++i) {
    Case made;
    made.name = names[i];
    made.arguments.push_back({DType::i32, std::vector<std::byte>(16), true});
    std::array<std::int32_t, 4> got{};
    std::memcpy(got.data(), device->run(loaded, lowered.kernels[i], made)[0].data(), sizeof got);
    const auto wanted = static_cast<std::int32_t>(i + 1);
    if (got == std::array{wanted, wanted, wanted, wanted}) continue;
    fmt::print("WRONG kernel {}: it wrote {}, not {}\n", names[i], got[0], wanted);
    good = false;
  }
  return good;
}

int run(const Options& options) {
  fmt::print("seed {}\n", options.seed);
  std::vector<Case> cases;
  std::vector<Case> directed = directed_cases(options.seed);
  std::shuffle(directed.begin(), directed.end(), std::mt19937_64(options.seed));
  directed.resize(directed.size() / options.part);
  std::move(directed.begin(), directed.end(), std::back_inserter(cases));
  for (auto& made : sample_cases(options.seed)) cases.push_back(std::move(made));
  for (std::uint64_t i = 0; i < options.count; ++i)
    cases.push_back(make_case(make_random_module(options.seed + i), options.seed + i));
  if (!options.cases.empty())
    std::erase_if(cases, [&](const Case& made) {
      return made.name.find(options.cases) == std::string::npos;
    });
  const std::unique_ptr<Runner> device = open_runner(options);
  Totals totals;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t first = 0; first < cases.size(); first += options.batch) {
    const std::size_t last =
        std::min(cases.size(), first + static_cast<std::size_t>(options.batch));
    std::vector<Case> batch(std::make_move_iterator(cases.begin() + static_cast<long>(first)),
                            std::make_move_iterator(cases.begin() + static_cast<long>(last)));
    try {
      run_batch(*device, options, batch, totals);
    } catch (const Error& error) {
      ++totals.failed;
      fmt::print("FAILED {} to {}: {}\n", batch.front().name, batch.back().name, error.what());
    }
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  const Counted& counted = totals.counted;
  fmt::print(
      "{} kernels on {} in {:.1f} s, {} refused; {} elements equal to the bit, {} close, {} open; "
      "{} failed\n",
      totals.kernels, device->name(), time.count(), totals.refused, counted.exact, counted.close,
      counted.open, totals.failed);
  // A test that compares nothing must not pass.
  if (totals.kernels == 0 || counted.exact < counted.open) {
    fmt::print("too little was compared\n");
    return 1;
  }
  return totals.failed == 0 && check_assertions(options) && check_names(options) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr,
               "usage: {} PLUGIN FORMAT TARGET [--count N] [--seed S] [--part N] [--batch N] "
               "[--cases WORD] [--print]\n",
               argv[0]);
    return 2;
  }
  Options options{argv[1], argv[2], argv[3], {}};
  const char* seed = std::getenv("FLAGOS_TEST_SEED");
  options.seed = seed ? std::strtoull(seed, nullptr, 10) : std::random_device()();
  for (int i = 4; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--print") {
      options.print = true;
      continue;
    }
    if (i + 1 == argc) return 2;
    const char* value = argv[++i];
    if (name == "--cases") {
      options.cases = value;
      continue;
    }
    std::uint64_t& number = name == "--count"  ? options.count
                            : name == "--seed" ? options.seed
                            : name == "--part" ? options.part
                                               : options.batch;
    number = std::strtoull(value, nullptr, 10);
  }
  try {
    open_runner(options);
  } catch (const Error& error) {
    fmt::print("skipped: no device of {}: {}\n", options.plugin, error.what());
    return 77;
  }
  try {
    return run(options);
  } catch (const std::exception& error) {
    fmt::print("{}\n", error.what());
    return 1;
  }
}
