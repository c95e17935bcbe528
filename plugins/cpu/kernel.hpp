// A kernel of a module: a native one, called once per block, or a plain C function, called through
// libffi.
#pragma once

#include <flagos_cpu_kernel.h>
#include <flagos_plugin.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/plugin_host.hpp"

namespace flagos::cpu {

class Interpreter;
class Module;
class Stream;
class Worker;

constexpr std::uint32_t max_block_threads = 1024;
constexpr std::uint32_t max_shared_bytes = 256 * 1024;
// What a kernel may ask for itself: portable kernels keep their tiles there.
constexpr std::uint32_t max_static_shared_bytes = 64 * 1024 * 1024;
constexpr std::uint32_t max_argument_bytes = 8192;

struct LaunchShape {
  std::uint32_t grid[3];
  std::uint32_t block[3];
  std::uint32_t shared_bytes;
  bool is_together;  // all blocks at once

  bool is_empty() const noexcept;
  static LaunchShape of(const flagos_launch_desc_t& desc) noexcept;
};

// How a plain function is called; hides libffi.
struct Call;
struct CallDelete {
  void operator()(Call* call) const noexcept;
};

class Kernel {
 public:
  // `descriptor` stands in the module and has been checked.
  Kernel(Module& module, std::string name, const flagos_cpu_kernel_t& descriptor);
  // Throws INVALID_ARGUMENT for a signature that C cannot have.
  Kernel(Module& module, std::string name, void* function,
         std::span<const flagos_parameter_t> parameters);

  // One that the interpreter runs, by its index there.
  Kernel(Module& module, const Interpreter& interpreter, std::uint32_t index);

  Module& module() const noexcept { return module_; }
  const std::string& name() const noexcept { return name_; }
  std::span<const flagos_parameter_t> parameters() const noexcept { return parameters_; }
  void fill_info(flagos_kernel_info_t& info) const noexcept;
  std::uint32_t block_thread_limit() const noexcept { return block_thread_limit_; }

  // Throws INVALID_ARGUMENT for a launch that this kernel cannot do.
  void check(const flagos_launch_desc_t& desc) const;
  // Runs all blocks; why it failed, or NULL.
  Failure run(const LaunchShape& shape, const void* arguments, Worker& worker) const noexcept;

 private:
  Failure run_native(const LaunchShape& shape, const void* arguments,
                     Worker& worker) const noexcept;
  Failure run_together(const LaunchShape& shape, const void* arguments,
                       Worker& worker) const noexcept;
  Failure run_plain(const void* arguments) const noexcept;

  Module& module_;
  const std::string name_;
  std::vector<flagos_parameter_t> parameters_;
  std::uint32_t argument_bytes_ = 0;
  std::uint32_t static_shared_bytes_ = 0;
  std::uint32_t block_thread_limit_ = max_block_threads;
  flagos_cpu_function_t native_ = nullptr;
  std::unique_ptr<Call, CallDelete> plain_;
  const Interpreter* interpreter_ = nullptr;
  std::uint32_t interpreted_ = 0;
  // What a block took lately, in picoseconds: whether other threads are worth waking for the next
  // launch.
  mutable std::atomic<std::uint64_t> block_ps_{0};
};

// A launch that was checked and copied once.
class Prepared {
 public:
  Prepared(const Kernel& kernel, const flagos_launch_desc_t& desc);

  const Kernel& kernel() const noexcept { return kernel_; }
  const LaunchShape& shape() const noexcept { return shape_; }
  std::span<const std::byte> arguments() const noexcept { return arguments_; }

 private:
  const Kernel& kernel_;
  const LaunchShape shape_;
  const std::vector<std::byte> arguments_;
};

flagos_status_t kernel_get_info(flagos_plugin_kernel_t* kernel,
                                flagos_kernel_info_t* out_info) noexcept;
flagos_status_t kernel_get_parameter(flagos_plugin_kernel_t* kernel, std::uint32_t index,
                                     flagos_parameter_t* out_parameter) noexcept;
flagos_status_t kernel_launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                              const flagos_launch_desc_t* desc) noexcept;
flagos_status_t kernel_get_occupancy(flagos_plugin_kernel_t* kernel, std::uint32_t block_threads,
                                     std::uint32_t shared_bytes,
                                     std::uint32_t* out_blocks) noexcept;
flagos_status_t kernel_suggest_block(flagos_plugin_kernel_t* kernel, std::uint32_t shared_bytes,
                                     std::uint32_t* out_block_threads) noexcept;
flagos_status_t kernel_prepare(flagos_plugin_kernel_t* kernel, const flagos_launch_desc_t* desc,
                               flagos_plugin_prepared_t** out_prepared) noexcept;
flagos_status_t kernel_launch_prepared(flagos_plugin_stream_t* stream,
                                       flagos_plugin_prepared_t* prepared) noexcept;
void kernel_destroy_prepared(flagos_plugin_prepared_t* prepared) noexcept;

}  // namespace flagos::cpu
