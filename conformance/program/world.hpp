// What random programs run on: a runtime with one plugin, its devices opened, and the kernels of the suite loaded.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "conformance/program/program.hpp"

namespace flagos::conformance {

// The plugin works, and this machine has nothing for it.
struct NoDevice : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class ProgramWorld {
 public:
  // Opens as many devices as there are, at most `most_devices`. Throws std::runtime_error with one sentence.
  ProgramWorld(const std::string& plugin_path, const std::string& kernels_dir,
               std::uint32_t most_devices);
  ~ProgramWorld();
  ProgramWorld(const ProgramWorld&) = delete;
  ProgramWorld& operator=(const ProgramWorld&) = delete;

  const std::vector<Place>& places() const { return places_; }
  // What is free on all devices together.
  std::uint64_t free_bytes() const;
  // Why it could not be taken down: something of it is still alive. Empty when it could.
  std::string close();

 private:
  void open(std::uint32_t index, const std::string& kernels_dir);

  flagos_runtime_t* runtime_ = nullptr;
  std::vector<Place> places_;
  std::vector<flagos_module_t*> modules_;
};

}  // namespace flagos::conformance
