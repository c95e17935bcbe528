// What a Context holds while its case runs.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/result.hpp"
#include "conformance/sha256.hpp"

namespace flagos::conformance {

struct Context::State {
  State(const Case& the_case, const Settings& the_settings);

  // Keeps the worst outcome and ends the case.
  [[noreturn]] void end(Status status, const std::string& text);
  // `text` with the parameters of the subcase before it and the place behind it.
  std::string describe(const std::string& text, const std::source_location& where);
  // Keeps the worst outcome.
  void note(Status status, const std::string& text);

  const Case& owner;
  const Settings settings;
  std::mt19937_64 random;

  // Checks may come from several threads of a case.
  std::atomic<std::uint64_t> checks{0};
  std::mutex mutex;  // guards what follows
  std::uint64_t subcases = 0;
  std::string parameters;
  Status status = Status::pass;
  std::string text;
  bool excused = false;  // the harness itself has seen that a feature is absent
  bool digested = false;
  Sha256 digest;
  std::map<std::string, Sha256> digests;  // of each subcase
  bool publishes_digests;
  std::vector<Measurement> measurements;

  // The plugin under test; each is made at first use. `setup` is recursive: device() needs
  // runtime().
  std::recursive_mutex setup;
  flagos_runtime_t* runtime = nullptr;
  flagos_device_t* device = nullptr;
  std::optional<flagos_device_info_t> info;
  flagos_module_t* module = nullptr;
  std::map<std::string, flagos_kernel_t*> kernels;
  flagos_stream_t* service_stream = nullptr;  // for Buffer::read and write
};

// The format of the suite's pack for this device and the file that holds it.
struct Pack {
  std::string format;
  std::string path;
  bool by_path = false;  // the format may be given as a path
};
// Ends the case with NOT_RUN when the device takes no format that the suite has.
Pack find_pack(Context& t);

// Copies through the service stream and waits; checks each step.
void copy_and_wait(Context& t, flagos_address_t target, flagos_address_t source,
                   std::uint64_t size);

// Runs a case from its first line to the teardown of its runtime. Throws nothing.
CaseResult run_case(const Case& the_case, const Context::Settings& settings);

// Closes what the context opened; a device that has live children is a leak.
void tear_down(Context& t);

}  // namespace flagos::conformance
