// A device of a plugin, on which printed kernels are run.
#pragma once

#include <flagos.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compiler/lower.hpp"
#include "tests/lowering/oracle.hpp"

namespace flagos::compiler::test {

// What runs printed text.
class Runner {
 public:
  using Loaded = void*;
  virtual ~Runner() = default;
  virtual std::string name() const = 0;
  // Compiles a text; it lives as long as the runner.
  virtual Loaded load(const std::string& format, const std::string& source) = 0;
  // What the case's memory is afterwards.
  virtual std::vector<std::vector<std::byte>> run(Loaded module, const LaunchRecord& record,
                                                  const Case& made) = 0;
};

class Device final : public Runner {
 public:
  // The first device of the plugin; throws Error where it has none.
  explicit Device(const std::string& plugin);
  ~Device() override;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  std::string name() const override { return info_.id; }
  Loaded load(const std::string& format, const std::string& source) override;
  std::vector<std::vector<std::byte>> run(Loaded module, const LaunchRecord& record,
                                          const Case& made) override;

 private:
  flagos_runtime_t* runtime_ = nullptr;
  flagos_device_t* device_ = nullptr;
  flagos_stream_t* stream_ = nullptr;
  flagos_device_info_t info_{};
  std::vector<flagos_module_t*> modules_;
};

// Tile calls on this processor, compiled by a child compiler with the twin of a chip's header.
class Twin final : public Runner {
 public:
  // `include` is where flagos/tile_twin.hpp is. Throws Error (NOT_FOUND) where no compiler is found.
  explicit Twin(std::string include);
  ~Twin() override;
  Twin(const Twin&) = delete;
  Twin& operator=(const Twin&) = delete;
  std::string name() const override { return "the twin"; }
  Loaded load(const std::string& format, const std::string& source) override;
  std::vector<std::vector<std::byte>> run(Loaded module, const LaunchRecord& record,
                                          const Case& made) override;

 private:
  std::string include_, compiler_;
  std::vector<void*> libraries_;
};

}  // namespace flagos::compiler::test
