// The format gnu-c++: C++ without headers, made into a shared object by the C++ compiler of the
// machine, which runs as a child.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/plugin_host.hpp"
#include "plugins/cpu/child_process.hpp"

namespace flagos::cpu {

constexpr const char* source_format = "gnu-c++";

// What the compiler said, and the object unless it failed.
struct Compiled {
  std::vector<std::byte> image;
  std::string log;
};

// Thrown beside Error: the text is for people, the log for those who wrote the source.
class CompileError : public Error {
 public:
  CompileError(std::string text, std::string log)
      : Error(FLAGOS_STATUS_COMPILE_FAILED, std::move(text)), log_(std::move(log)) {}
  const std::string& log() const noexcept { return log_; }

 private:
  std::string log_;
};

class ChildCompiler {
 public:
  explicit ChildCompiler(const Host& host) : host_(host) {}

  // Whether there is one. It was looked for once: FLAGOS_CC, or clang from 14 or g++ from 12 on PATH.
  bool is_there();
  // Path, size and time of the program: another one compiles anew what a cache holds.
  const std::string& identity();
  // "x86-64-v4" and the like, as the plugin probed the processor.
  const std::string& isa();

  // `options` has "optimize=0" to 3, "isa=x86-64-v3" and "debug", separated by spaces. Throws
  // CompileError, INVALID_ARGUMENT for other options, and OUT_OF_RESOURCES when there is no room for
  // its files or it does not end in FLAGOS_CPU_COMPILE_SECONDS.
  Compiled compile(std::string_view source, std::string_view options);

 private:
  void find();
  bool use(const std::string& path, bool named);
  // With `links` the object comes out of it, else what the linker makes one of.
  std::vector<std::string> command(std::string_view options, bool links) const;
  // A compiler that links, too, starts itself twice: the linker alone saves a third of the time. False where that did
  // not do.
  bool compile_and_link(std::string_view options, const std::string& folder,
                        ChildEnding& ending) const;
  ChildEnding run(const std::vector<std::string>& words, const std::string& folder) const;
  std::string text_of(const char* name, const char* fallback) const;

  const Host& host_;
  std::once_flag once_;
  std::string path_;    // "" when there is none
  std::string search_;  // PATH
  std::string linker_;  // "ld", for a compiler that nobody named; else the compiler links
  std::string identity_;
  std::string isa_;
  std::chrono::seconds limit_{60};
  bool is_clang_ = false;
};

}  // namespace flagos::cpu
