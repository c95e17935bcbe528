// A function of a module: what it takes, and launches of it.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plugins/nvidia/driver.hpp"
#include "plugins/nvidia/module.hpp"
#include "plugins/nvidia/signature.hpp"
#include "plugins/nvidia/stream.hpp"

namespace flagos::nvidia {

// How the blocks of a launch stand to each other, as the driver is told.
struct Together {
  explicit Together(std::uint32_t flags);
  CUlaunchAttribute attributes[2] = {};
  unsigned count = 0;
};

class Kernel {
 public:
  // The signature is the caller's where one is given, checked against the kernel's own, or against what the driver knows.
  Kernel(Module& module, const flagos_kernel_desc_t& desc);
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  Module& module() const noexcept { return module_; }
  CUfunction handle() const noexcept { return function_; }
  const std::string& name() const noexcept { return name_; }
  const std::vector<flagos_parameter_t>& parameters() const noexcept { return parameters_; }
  bool fails() const noexcept { return fails_; }
  std::uint32_t block_thread_limit() const noexcept { return block_thread_limit_; }
  std::uint32_t static_shared_bytes() const noexcept { return static_shared_bytes_; }
  Operation operation() const noexcept {
    return {FLAGOS_RECORD_KIND_KERNEL, shown_name_->c_str(), 0, false, shown_name_};
  }
  void fill_info(flagos_kernel_info_t& info) const noexcept;

  // Throws INVALID_ARGUMENT, and sees to it that the driver lets a launch have so much shared memory.
  void check(const flagos_launch_desc_t& desc);
  void allow_shared(std::uint32_t shared_bytes);
  void launch(Stream& stream, const flagos_launch_desc_t& desc);
  // `block` has the arguments, and behind them room for the failure's address where fails().
  CUresult launch_now(CUstream stream, const flagos_launch_desc_t& desc, std::byte* block,
                      std::size_t size, flagos_address_t word) const;
  // What the driver is given of a block.
  std::size_t argument_end(const flagos_launch_desc_t& desc) const noexcept {
    return has_signature_ || knows_layout_ ? end_ : desc.argument_bytes;
  }
  std::size_t block_bytes(const flagos_launch_desc_t& desc) const noexcept;
  std::vector<std::byte> copy_block(const flagos_launch_desc_t& desc) const;

 private:
  void read_layout();
  void take_own(const Signature& own);
  void check_cluster(std::uint32_t flags) const;
  CUresult launch_together(CUstream stream, const flagos_launch_desc_t& desc, void** extra) const;
  void check_layout() const;

  Module& module_;
  const Driver& driver_;
  const std::string name_;
  const std::shared_ptr<const std::string> shown_name_;  // outlives the kernel, see Operation
  CUfunction function_ = nullptr;
  std::vector<flagos_parameter_t> parameters_;
  bool has_signature_ = false;
  std::uint32_t argument_bytes_ = 0;  // of the signature, with what aligns its end
  // As the driver has it, without the parameter for failures.
  struct Place {
    std::size_t offset, size;
  };
  std::vector<Place> layout_;
  bool knows_layout_ = false;
  std::uint64_t end_ = 0;  // of the last argument, where it is known
  bool fails_ = false;
  std::uint32_t block_thread_limit_ = 0;
  std::uint32_t static_shared_bytes_ = 0;
  std::uint32_t registers_ = 0;
  std::atomic<std::uint32_t> allowed_shared_bytes_;  // dynamic
};

// A launch that was checked and copied.
class Prepared {
 public:
  Prepared(Kernel& kernel, const flagos_launch_desc_t& desc);
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  const Kernel& kernel() const noexcept { return kernel_; }
  void launch(Stream& stream);

 private:
  Kernel& kernel_;
  flagos_launch_desc_t desc_;
  std::vector<std::byte> block_;
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

}  // namespace flagos::nvidia
