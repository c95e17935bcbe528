#include "plugins/nvidia/kernel.hpp"

#include <algorithm>
#include <cstring>

#include "plugins/nvidia/handles.hpp"

namespace flagos::nvidia {
namespace {

// What every launch may have without asking.
constexpr std::uint32_t usual_shared_bytes = 48 << 10;
constexpr std::size_t word_bytes = sizeof(flagos_address_t);

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

std::string names_of(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& name : all) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none that the driver lists" : text;
}

}  // namespace

Kernel::Kernel(Module& module, const flagos_kernel_desc_t& desc)
    : module_(module),
      driver_(module.device().driver()),
      name_(desc.name),
      shown_name_(std::make_shared<const std::string>(name_)),
      has_signature_(desc.parameters != nullptr),
      allowed_shared_bytes_(usual_shared_bytes) {
  const CUresult code = driver_.cuModuleGetFunction(&function_, module.handle(), desc.name);
  if (code == CUDA_ERROR_NOT_FOUND)
    throw_error(FLAGOS_STATUS_NOT_FOUND, "no kernel '{}'; the module has: {}", desc.name,
                names_of(module.names()));
  module.device().check(code, "cuModuleGetFunction");
  if (has_signature_) parameters_.assign(desc.parameters, desc.parameters + desc.parameter_count);
  Signature own;
  if (module.find_signature(name_, &own)) take_own(own);
  std::uint32_t alignment = 1;
  for (const flagos_parameter_t& parameter : parameters_) {
    end_ = std::max<std::uint64_t>(end_, parameter.offset_bytes + parameter.size_bytes);
    alignment = std::max(alignment, parameter.alignment_bytes);
  }
  argument_bytes_ = static_cast<std::uint32_t>(round_up(end_, alignment));
  read_layout();
  check_layout();
  const auto attribute = [&](CUfunction_attribute what) {
    int value = 0;
    module.device().check(driver_.cuFuncGetAttribute(&value, what, function_),
                          "cuFuncGetAttribute");
    return static_cast<std::uint32_t>(std::max(0, value));
  };
  block_thread_limit_ = std::clamp(attribute(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), 1u,
                                   module.device().description().info.max_block_threads);
  static_shared_bytes_ = attribute(CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES);
  registers_ = attribute(CU_FUNC_ATTRIBUTE_NUM_REGS);
}

// Drivers from CUDA 12.4 on know.
void Kernel::read_layout() {
  if (driver_.cuFuncGetParamInfo == nullptr) return;
  knows_layout_ = true;
  for (std::size_t i = 0;; ++i) {
    Place place{};
    const CUresult code = driver_.cuFuncGetParamInfo(function_, i, &place.offset, &place.size);
    if (code == CUDA_ERROR_INVALID_VALUE) break;
    module_.device().check(code, "cuFuncGetParamInfo");
    layout_.push_back(place);
  }
  if (fails_ && !layout_.empty()) layout_.pop_back();
  if (!has_signature_ && !layout_.empty()) end_ = layout_.back().offset + layout_.back().size;
}

void Kernel::take_own(const Signature& own) {
  fails_ = own.fails;
  if (!has_signature_) parameters_ = own.parameters;
  has_signature_ = true;
  if (own.parameters.size() != parameters_.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' takes {} arguments, the signature has {}", name_,
                own.parameters.size(), parameters_.size());
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (!is_compatible(own.parameters[i], parameters_[i]))
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "argument {} of kernel '{}' is dtype {:#x} with {} bytes at {}; the signature "
                  "says dtype {:#x} with {} bytes at {}",
                  i, name_, own.parameters[i].dtype, own.parameters[i].size_bytes,
                  own.parameters[i].offset_bytes, parameters_[i].dtype, parameters_[i].size_bytes,
                  parameters_[i].offset_bytes);
}

void Kernel::check_layout() const {
  if (!has_signature_ || !knows_layout_) return;
  if (layout_.size() != parameters_.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' takes {} arguments, the signature has {}", name_, layout_.size(),
                parameters_.size());
  for (std::size_t i = 0; i < layout_.size(); ++i)
    if (layout_[i].offset != parameters_[i].offset_bytes ||
        layout_[i].size != parameters_[i].size_bytes)
      throw_error(
          FLAGOS_STATUS_INVALID_ARGUMENT,
          "argument {} of kernel '{}' has {} bytes at {}; the signature says {} bytes at {}", i,
          name_, layout_[i].size, layout_[i].offset, parameters_[i].size_bytes,
          parameters_[i].offset_bytes);
}

void Kernel::fill_info(flagos_kernel_info_t& info) const noexcept {
  info.flags = has_signature_ ? FLAGOS_KERNEL_FLAG_SIGNATURE : 0;
  std::strncpy(info.name, name_.c_str(), sizeof(info.name) - 1);
  info.parameter_count = static_cast<std::uint32_t>(parameters_.size());
  info.argument_bytes = argument_bytes_;
  info.max_block_threads = block_thread_limit_;
  info.static_shared_bytes = static_shared_bytes_;
  info.registers = registers_;
}

void Kernel::check(const flagos_launch_desc_t& desc) {
  // Without a signature nobody knows what aligns the end.
  const bool fits = has_signature_ ? desc.argument_bytes == argument_bytes_
                                   : !knows_layout_ || (desc.argument_bytes >= end_ &&
                                                        desc.argument_bytes <= round_up(end_, 64));
  if (!fits)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' takes {} bytes of arguments, {} were given", name_,
                has_signature_ ? argument_bytes_ : end_, desc.argument_bytes);
  const std::uint32_t most = module_.device().description().info.max_shared_bytes;
  if (std::uint64_t{desc.shared_bytes} + static_shared_bytes_ > most)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{} bytes of shared memory and {} of '{}' itself are above {}", desc.shared_bytes,
                static_shared_bytes_, name_, most);
  if (desc.flags != 0) [[unlikely]]
    check_cluster(desc.flags);
  allow_shared(desc.shared_bytes);
}

// The driver wants to be told before it lets a kernel have so much.
void Kernel::allow_shared(std::uint32_t shared_bytes) {
  if (shared_bytes <= allowed_shared_bytes_.load(std::memory_order_relaxed)) [[likely]]
    return;
  const std::uint32_t most = module_.device().description().info.max_shared_bytes;
  module_.device().check(
      driver_.cuFuncSetAttribute(function_, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                 static_cast<int>(most - static_shared_bytes_)),
      "cuFuncSetAttribute");
  allowed_shared_bytes_.store(most - static_shared_bytes_);
}

// What all chips have room for.
void Kernel::check_cluster(std::uint32_t flags) const {
  constexpr std::uint32_t most = 8;
  const std::uint32_t blocks = (flags >> 8 & 0xff) * (flags >> 16 & 0xff) * (flags >> 24);
  if (blocks > most)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "clusters of {} blocks of '{}'; they may have {}",
                blocks, name_, most);
}

Together::Together(std::uint32_t flags) {
  if ((flags & FLAGOS_LAUNCH_FLAG_COOPERATIVE) != 0) {
    attributes[count].id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
    attributes[count++].value.cooperative = 1;
  }
  if (flags >> 8 != 0) {
    attributes[count].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attributes[count++].value.clusterDim = {flags >> 8 & 0xff, flags >> 16 & 0xff, flags >> 24};
  }
}

std::size_t Kernel::block_bytes(const flagos_launch_desc_t& desc) const noexcept {
  return fails_ ? round_up(argument_end(desc), word_bytes) + word_bytes : argument_end(desc);
}

std::vector<std::byte> Kernel::copy_block(const flagos_launch_desc_t& desc) const {
  std::vector<std::byte> block(block_bytes(desc));
  if (argument_end(desc) != 0) std::memcpy(block.data(), desc.argument_block, argument_end(desc));
  return block;
}

CUresult Kernel::launch_now(CUstream stream, const flagos_launch_desc_t& desc, std::byte* block,
                            std::size_t size, flagos_address_t word) const {
  if (fails_) std::memcpy(block + size - word_bytes, &word, word_bytes);
  void* extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, block, CU_LAUNCH_PARAM_BUFFER_SIZE, &size,
                   CU_LAUNCH_PARAM_END};
  if (desc.flags != 0) [[unlikely]]
    return launch_together(stream, desc, size != 0 ? extra : nullptr);
  return driver_.cuLaunchKernel(function_, desc.grid[0], desc.grid[1], desc.grid[2], desc.block[0],
                                desc.block[1], desc.block[2], desc.shared_bytes, stream, nullptr,
                                size != 0 ? extra : nullptr);
}

CUresult Kernel::launch_together(CUstream stream, const flagos_launch_desc_t& desc,
                                 void** extra) const {
  Together together(desc.flags);
  const CUlaunchConfig config = {
      desc.grid[0],  desc.grid[1],      desc.grid[2], desc.block[0],       desc.block[1],
      desc.block[2], desc.shared_bytes, stream,       together.attributes, together.count};
  return driver_.cuLaunchKernelEx(&config, function_, nullptr, extra);
}

void Kernel::launch(Stream& stream, const flagos_launch_desc_t& desc) {
  check(desc);
  const auto keep = [&] {
    return Command(
        [this, desc, block = copy_block(desc)](CUstream handle, flagos_address_t word) mutable {
          return launch_now(handle, desc, block.data(), block.size(), word);
        });
  };
  if (!fails_) {
    // The driver copies the block, and does not write to it.
    auto* const block = const_cast<std::byte*>(static_cast<const std::byte*>(desc.argument_block));
    stream.submit(
        operation(), "cuLaunchKernel",
        [&](CUstream handle, flagos_address_t) {
          return launch_now(handle, desc, block, argument_end(desc), 0);
        },
        keep);
    return;
  }
  std::vector<std::byte> block = copy_block(desc);
  stream.submit_guarded(
      operation(), "cuLaunchKernel",
      [&](CUstream handle, flagos_address_t word) {
        return launch_now(handle, desc, block.data(), block.size(), word);
      },
      keep);
}

Prepared::Prepared(Kernel& kernel, const flagos_launch_desc_t& desc)
    : kernel_(kernel), desc_(desc) {
  kernel.check(desc);
  block_ = kernel.copy_block(desc);
}

// The block of a launch that may fail changes with the stream's word: each has a copy.
void Prepared::launch(Stream& stream) {
  if (kernel_.fails()) {
    const auto issue = [this, block = block_](CUstream handle, flagos_address_t word) mutable {
      return kernel_.launch_now(handle, desc_, block.data(), block.size(), word);
    };
    Command command(issue);
    stream.submit_guarded(kernel_.operation(), "cuLaunchKernel", command, [&] { return command; });
    return;
  }
  stream.submit(kernel_.operation(), "cuLaunchKernel", [this](CUstream handle, flagos_address_t) {
    return kernel_.launch_now(handle, desc_, block_.data(), block_.size(), 0);
  });
}

// ---- entries ----------------------------------------------------------------------------------

flagos_status_t kernel_get_info(flagos_plugin_kernel_t* kernel,
                                flagos_kernel_info_t* out_info) noexcept {
  from_c(kernel).fill_info(*out_info);
  return FLAGOS_STATUS_OK;
}

flagos_status_t kernel_get_parameter(flagos_plugin_kernel_t* kernel, std::uint32_t index,
                                     flagos_parameter_t* out_parameter) noexcept {
  const Kernel& self = from_c(kernel);
  return entry(self.module().host(), [&] {
    if (index >= self.parameters().size())
      throw_error(FLAGOS_STATUS_NOT_FOUND, "parameter {} of '{}', which has {}", index, self.name(),
                  self.parameters().size());
    *out_parameter = self.parameters()[index];
  });
}

flagos_status_t kernel_launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                              const flagos_launch_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] { from_c(kernel).launch(self, *desc); });
}

flagos_status_t kernel_get_occupancy(flagos_plugin_kernel_t* kernel, std::uint32_t block_threads,
                                     std::uint32_t shared_bytes,
                                     std::uint32_t* out_blocks) noexcept {
  Kernel& self = from_c(kernel);
  Device& device = self.module().device();
  return device_entry(device, [&] {
    const std::uint32_t most = device.description().info.max_shared_bytes;
    if (block_threads > self.block_thread_limit() ||
        shared_bytes > most - self.static_shared_bytes())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "a block of {} threads and {} bytes; the limits of '{}' are {} and {}",
                  block_threads, shared_bytes, self.name(), self.block_thread_limit(),
                  most - self.static_shared_bytes());
    self.allow_shared(shared_bytes);
    int blocks = 0;
    device.check(device.driver().cuOccupancyMaxActiveBlocksPerMultiprocessor(
                     &blocks, self.handle(), static_cast<int>(block_threads), shared_bytes),
                 "cuOccupancyMaxActiveBlocksPerMultiprocessor");
    *out_blocks = static_cast<std::uint32_t>(std::max(0, blocks));
  });
}

flagos_status_t kernel_suggest_block(flagos_plugin_kernel_t* kernel, std::uint32_t shared_bytes,
                                     std::uint32_t* out_block_threads) noexcept {
  Kernel& self = from_c(kernel);
  Device& device = self.module().device();
  return device_entry(device, [&] {
    int grid = 0, threads = 0;
    self.allow_shared(shared_bytes);
    device.check(device.driver().cuOccupancyMaxPotentialBlockSize(&grid, &threads, self.handle(),
                                                                  nullptr, shared_bytes, 0),
                 "cuOccupancyMaxPotentialBlockSize");
    *out_block_threads =
        std::clamp(static_cast<std::uint32_t>(std::max(1, threads)), 1u, self.block_thread_limit());
  });
}

flagos_status_t kernel_prepare(flagos_plugin_kernel_t* kernel, const flagos_launch_desc_t* desc,
                               flagos_plugin_prepared_t** out_prepared) noexcept {
  Kernel& self = from_c(kernel);
  return device_entry(self.module().device(), [&] {
    *out_prepared = to_c(std::make_unique<Prepared>(self, *desc).release());
  });
}

flagos_status_t kernel_launch_prepared(flagos_plugin_stream_t* stream,
                                       flagos_plugin_prepared_t* prepared) noexcept {
  Stream& self = from_c(stream);
  return device_entry(self.device(), [&] { from_c(prepared).launch(self); });
}

void kernel_destroy_prepared(flagos_plugin_prepared_t* prepared) noexcept {
  delete &from_c(prepared);
}

}  // namespace flagos::nvidia
