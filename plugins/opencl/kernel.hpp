// A kernel of a module: the driver's kernel object, and how the packed block becomes its arguments.
#pragma once

#include <flagos_plugin.h>

#include <cstdint>
#include <mutex>
#include <vector>

#include "plugins/opencl/driver.hpp"
#include "plugins/opencl/memory.hpp"
#include "plugins/opencl/module.hpp"
#include "plugins/opencl/signature.hpp"
#include "plugins/opencl/stream.hpp"

namespace flagos::opencl {

// One kernel object of the driver. Its arguments are a state that threads must not change at once,
// so whoever launches holds the lock from the first argument to the launch; what stayed the same
// since the last launch is not set again.
class KernelObject {
 public:
  KernelObject(const Module& module, const Signature& signature);
  ~KernelObject();
  KernelObject(const KernelObject&) = delete;
  KernelObject& operator=(const KernelObject&) = delete;

  cl_kernel handle() const noexcept { return kernel_; }
  // Sets the arguments and launches. `word` is for flagos_failure, 0 where there is none.
  cl_int launch(cl_command_queue queue, const flagos_launch_desc_t& desc, flagos_address_t word,
                cl_event* out_event);
  // Throws what launch would throw for its arguments.
  void check(const flagos_launch_desc_t& desc);
  // Sets the arguments only; launch_again launches with them.
  void set_arguments(const void* block, std::uint32_t shared_bytes, flagos_address_t word);
  cl_int launch_again(cl_command_queue queue, const std::size_t (&global)[3],
                      const std::size_t (&local)[3], flagos_address_t word, cl_event* out_event);

 private:
  bool is_set(const void* block, std::uint32_t shared_bytes) const noexcept;
  void set_argument(const Argument& argument, cl_uint index, const void* value);
  void set_address(const Argument& argument, cl_uint index, flagos_address_t address);
  void set_buffer(const Argument& argument, cl_uint index, flagos_address_t address);
  void set_part_of_buffer(const Argument& argument, cl_uint index, const Allocation& allocation,
                          std::uint64_t offset);
  void release_parts() noexcept;
  void set_reach();
  void check(cl_int code, const char* call, const Argument& argument) const;
  cl_int enqueue(cl_command_queue queue, const std::size_t (&global)[3],
                 const std::size_t (&local)[3], cl_event* out_event);

  const Driver& driver_;
  const Memory& memory_;
  const Signature& signature_;
  const cl_context context_;
  const bool is_wrapped_;
  cl_kernel kernel_ = nullptr;

  std::mutex mutex_;
  std::vector<std::byte> block_;  // as it was set last
  std::uint32_t shared_bytes_ = 0;
  bool has_block_ = false;
  std::uint64_t generation_ = 0;  // of the memory, at that time
  std::uint64_t reached_ = 0;     // allocations that the driver knows of
  std::vector<cl_mem> parts_;     // sub-buffers of the last launch
};

class Kernel {
 public:
  // Throws UNSUPPORTED for one that cannot be launched.
  Kernel(Module& module, const Signature& signature);

  Module& module() const noexcept { return module_; }
  const Signature& signature() const noexcept { return signature_; }
  KernelObject& object() noexcept { return object_; }
  bool has_failure() const noexcept { return has_failure_; }
  std::uint32_t block_thread_limit() const noexcept { return block_thread_limit_; }
  std::uint32_t preferred_multiple() const noexcept { return preferred_multiple_; }
  void fill_info(flagos_kernel_info_t& info) const noexcept;
  flagos_parameter_t parameter(std::uint32_t index) const;
  // Throws INVALID_ARGUMENT for a launch that this kernel cannot do.
  void check(const flagos_launch_desc_t& desc) const;
  void launch(Stream& stream, const flagos_launch_desc_t& desc);
  // A launch for later: it owns its arguments, which were looked at.
  Command keep(const flagos_launch_desc_t& desc);
  Operation operation() const noexcept {
    return {FLAGOS_RECORD_KIND_KERNEL, shown_name_->c_str(), 0, false, shown_name_};
  }

 private:
  Module& module_;
  const Signature& signature_;
  const std::shared_ptr<const std::string> shown_name_;  // outlives the kernel, see Operation
  KernelObject object_;
  std::vector<std::uint32_t> in_block_;  // indices of the arguments that are parameters
  bool has_failure_ = false;
  std::uint32_t block_thread_limit_ = 1;
  std::uint32_t preferred_multiple_ = 1;
  std::uint32_t static_shared_bytes_ = 0;
};

// A launch that was checked, with a kernel object of its own, whose arguments stay set.
class Prepared {
 public:
  Prepared(Kernel& kernel, const flagos_launch_desc_t& desc);
  void launch(Stream& stream);

 private:
  Kernel& kernel_;
  KernelObject object_;
  std::size_t global_[3];
  std::size_t local_[3];
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

}  // namespace flagos::opencl
