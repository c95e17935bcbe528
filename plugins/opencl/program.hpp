// A program of the driver: built from source, SPIR-V or a binary, with the signatures of its kernels.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "plugins/opencl/device.hpp"
#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/signature.hpp"

namespace flagos::opencl {

// The compiler's refusal: the text is its log.
class BuildError : public Error {
 public:
  BuildError(std::string text, std::string log)
      : Error(FLAGOS_STATUS_COMPILE_FAILED, std::move(text)), log_(std::move(log)) {}
  const std::string& log() const noexcept { return log_; }

 private:
  std::string log_;
};

class Program {
 public:
  // The one that was built last from the same text, or a new one.
  static Program from_source(Device& device, const std::string& source, const std::string& options);
  static Program from_il(Device& device, std::span<const std::byte> words,
                         std::vector<Signature> signatures, const std::string& options);
  // What binary() gave, and the signatures beside it.
  static Program from_binary(Device& device, std::span<const std::byte> binary,
                             std::vector<Signature> signatures, bool is_wrapped);
  ~Program();
  // The same program of the driver once more.
  Program(const Program& other);
  Program(Program&& other) noexcept;
  Program& operator=(Program&&) = delete;

  cl_program handle() const noexcept { return program_; }
  const std::string& log() const noexcept { return log_; }
  const std::vector<Signature>& signatures() const noexcept { return signatures_; }
  // Every kernel has a second one, `flagos_at_<name>`, that takes each address as a buffer and an
  // offset: how a pointer into a buffer object is passed.
  bool is_wrapped() const noexcept { return is_wrapped_; }
  std::string driver_name(const Signature& signature) const;
  std::vector<std::byte> binary() const;
  // Finds the sizes of arguments whose types the source makes itself: a build of its own, so it is done when such a
  // kernel is asked for.
  void measure();
  // What compile made of it; NULL at first. Kept with the cached program: drivers put a binary together anew each time.
  const std::shared_ptr<const std::vector<std::byte>>& image() const noexcept { return image_; }
  void set_image(std::shared_ptr<const std::vector<std::byte>> image);

 private:
  explicit Program(Device& device) : device_(&device) {}
  static Program build_source(Device& device, const std::string& source,
                              const std::string& options);
  static bool can_share(const std::string& options);
  void refresh_cache();
  void create_from_source(const std::string& source);
  void build(const std::string& options);
  std::string read_log() const;
  void reflect(const std::string& source, const std::string& options);
  std::map<std::string, std::size_t> unknown_types() const;
  Signature reflect_kernel(const std::string& name) const;
  Argument reflect_argument(cl_kernel kernel, cl_uint index) const;
  std::vector<cl_ulong> run_measure(std::size_t count) const;
  void wrap(const std::string& source, const std::string& options);

  Device* device_;
  cl_program program_ = nullptr;
  std::string log_;
  std::vector<Signature> signatures_;
  std::string source_, options_;  // as given; "" where there is no source
  std::shared_ptr<const std::vector<std::byte>> image_;
  bool is_wrapped_ = false;
};

// The programs that a device has built last: a text that is loaded again, as tests and just-in-time compilers do, is
// not built again.
class ProgramCache {
 public:
  std::optional<Program> find(const std::string& source, const std::string& options);
  // Takes the place of the one that find gives.
  void add(const std::string& source, const std::string& options, const Program& program);

 private:
  struct Entry {
    std::string source;
    std::string options;
    Program program;
  };
  static constexpr std::size_t most = 8;

  std::mutex mutex_;
  std::list<Entry> entries_;  // the oldest first
};

}  // namespace flagos::opencl
