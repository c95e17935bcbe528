// A random program on the cpu plugin, with the input as its decisions: every call ends as the model says, and at the end
// nothing is alive.
#include <cstdio>
#include <fstream>

#include "conformance/program/program.hpp"
#include "tests/fuzz/runtime.hpp"

namespace flagos::fuzz {
namespace {

using namespace flagos::conformance;

// The bytes of the input; past their end the first choice of all, and then the program ends.
class ByteChoices final : public Choices {
 public:
  explicit ByteChoices(Bytes& bytes) : bytes_(bytes) {}
  std::uint32_t below(std::uint32_t bound) override {
    if (bound == 1) return 0;
    return (bound <= 256 ? bytes_.number<std::uint8_t>() : bytes_.number<std::uint16_t>()) % bound;
  }

 private:
  Bytes& bytes_;
};

flagos_kernel_t* kernel_of(flagos_module_t* module, const char* name) {
  flagos_kernel_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.name = name;
  flagos_kernel_t* kernel = nullptr;
  demand(flagos_module_get_kernel(module, &desc, &kernel) == FLAGOS_STATUS_OK,
         "the suite's kernel is found");
  return kernel;
}

std::vector<Place> open_places() {
  setenv("FLAGOS_CPU_DEVICES", "2", 1);
  flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_OFF);
  flagos_runtime_t* const runtime = make_runtime("cpu", flagos_plugin_open);
  std::vector<Place> places(2);
  for (std::uint32_t i = 0; i < places.size(); ++i) {
    places[i].device = open_device(runtime, i);
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.format = "elf-so";
    desc.path = FLAGOS_FUZZ_KERNELS;
    flagos_module_t* module = nullptr;
    demand(flagos_module_load(places[i].device, &desc, &module) == FLAGOS_STATUS_OK,
           "the suite's kernels are loaded");
    places[i].step = kernel_of(module, "data_step");
    places[i].add = kernel_of(module, "data_add");
    places[i].fail = kernel_of(module, "data_fail");
  }
  return places;
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    RandomChoices choices(seed);
    std::string bytes;
    for (int i = 0; i < 1000; ++i) bytes.push_back(static_cast<char>(choices.below(256)));
    all.push_back(bytes);
  }
  return all;
}

}  // namespace flagos::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flagos::fuzz;
  static const std::vector<Place> places = open_places();
  static Board board;
  Bytes bytes(data, size);
  ByteChoices choices(bytes);
  RandomProgram program(places, choices, board);
  try {
    while (!bytes.at_end()) program.step();
    program.finish();
  } catch (const Mismatch& mismatch) {
    demand(false, mismatch.what());
  }
  return 0;
}
