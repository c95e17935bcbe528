// A device of a plugin, on which printed kernels are run.
#pragma once

#include <flagos.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compiler/child_compiler.hpp"
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

// The machine's C++ compiler, and what it has made. Throws Error (NOT_FOUND) where there is none.
class ChildCompiler {
 public:
  ChildCompiler();
  ~ChildCompiler();
  ChildCompiler(const ChildCompiler&) = delete;
  ChildCompiler& operator=(const ChildCompiler&) = delete;
  void* load(const std::string& source, const std::string& options);

 private:
  std::string compiler_;
  std::vector<void*> libraries_;
};

// Tile calls on this processor, with the twin of a chip's header.
class Twin final : public Runner {
 public:
  // `include` is where flagos/tile_twin.hpp is.
  explicit Twin(std::string include);
  std::string name() const override { return "the twin"; }
  Loaded load(const std::string& format, const std::string& source) override;
  std::vector<std::vector<std::byte>> run(Loaded module, const LaunchRecord& record,
                                          const Case& made) override;

 private:
  std::string include_;
  ChildCompiler compiler_;
};

// CUDA C++ on this processor, its threads in turns.
class CudaTwin final : public Runner {
 public:
  // `root` is the folder of the project's sources.
  explicit CudaTwin(const std::string& root);
  std::string name() const override { return "the twin of CUDA C++"; }
  Loaded load(const std::string& format, const std::string& source) override;
  std::vector<std::vector<std::byte>> run(Loaded module, const LaunchRecord& record,
                                          const Case& made) override;

 private:
  std::string prelude_;
  ChildCompiler compiler_;
};

// Printed C++ on this processor, whatever it is: instructions for bf16 are computed.
class Bf16Twin final : public Runner {
 public:
  // `root` is the folder of the project's sources.
  explicit Bf16Twin(const std::string& root);
  std::string name() const override { return "the twin of bf16 instructions"; }
  Loaded load(const std::string& format, const std::string& source) override;
  std::vector<std::vector<std::byte>> run(Loaded module, const LaunchRecord& record,
                                          const Case& made) override;

 private:
  std::string model_;
  std::vector<std::unique_ptr<ChildLibrary>> libraries_;
};

}  // namespace flagos::compiler::test
