#include "plugins/opencl/kernel.hpp"

#include <algorithm>
#include <cstring>

#include "plugins/opencl/device.hpp"
#include "plugins/opencl/handles.hpp"

namespace flagos::opencl {
namespace {

void set_sizes(const flagos_launch_desc_t& desc, std::size_t (&global)[3],
               std::size_t (&local)[3]) noexcept {
  for (int i = 0; i < 3; ++i) {
    local[i] = desc.block[i];
    global[i] = static_cast<std::size_t>(desc.grid[i]) * desc.block[i];
  }
}

}  // namespace

// ---- the driver's kernel ----------------------------------------------------------------------

KernelObject::KernelObject(const Module& module, const Signature& signature)
    : driver_(module.device().driver()),
      memory_(module.device().memory()),
      signature_(signature),
      context_(module.device().context()),
      is_wrapped_(module.program().is_wrapped()),
      block_(signature.argument_bytes) {
  cl_int code = CL_SUCCESS;
  const std::string name = module.program().driver_name(signature);
  kernel_ = driver_.clCreateKernel(module.program().handle(), name.c_str(), &code);
  Driver::check(code, "clCreateKernel", "kernel '{}'", name);
}

KernelObject::~KernelObject() {
  release_parts();
  driver_.clReleaseKernel(kernel_);
}

// A launch that was queued keeps its own references.
void KernelObject::release_parts() noexcept {
  for (const cl_mem part : parts_) driver_.clReleaseMemObject(part);
  parts_.clear();
}

cl_int KernelObject::launch(cl_command_queue queue, const flagos_launch_desc_t& desc,
                            flagos_address_t word, cl_event* out_event) {
  std::size_t global[3], local[3];
  set_sizes(desc, global, local);
  const std::lock_guard lock(mutex_);
  if (word != 0 || !is_set(desc.argument_block, desc.shared_bytes))
    set_arguments(desc.argument_block, desc.shared_bytes, word);
  return enqueue(queue, global, local, out_event);
}

void KernelObject::check(const flagos_launch_desc_t& desc) {
  const std::lock_guard lock(mutex_);
  set_arguments(desc.argument_block, desc.shared_bytes, 0);
}

cl_int KernelObject::launch_again(cl_command_queue queue, const std::size_t (&global)[3],
                                  const std::size_t (&local)[3], flagos_address_t word,
                                  cl_event* out_event) {
  const std::lock_guard lock(mutex_);
  if (word != 0) set_arguments(block_.data(), shared_bytes_, word);
  return enqueue(queue, global, local, out_event);
}

cl_int KernelObject::enqueue(cl_command_queue queue, const std::size_t (&global)[3],
                             const std::size_t (&local)[3], cl_event* out_event) {
  set_reach();
  const cl_uint dimensions = local[2] != 1 || global[2] != 1 ? 3 : global[1] != 1 ? 2 : 1;
  return driver_.clEnqueueNDRangeKernel(queue, kernel_, dimensions, nullptr, global, local, 0,
                                        nullptr, out_event);
}

// A kernel may follow pointers that it finds in memory: the driver is told what they may lead to, in mode svm all
// allocations, in mode usm their kinds.
void KernelObject::set_reach() {
  const std::uint64_t allocated = memory_.allocated();
  if (reached_ == allocated || driver_.clSetKernelExecInfo == nullptr || !memory_.is_native())
      [[likely]]
    return;
  if (memory_.mode() == MemoryMode::svm) {
    const std::vector<void*> pointers = memory_.svm_pointers();
    if (!pointers.empty())
      Driver::check(driver_.clSetKernelExecInfo(kernel_, CL_KERNEL_EXEC_INFO_SVM_PTRS,
                                                pointers.size() * sizeof(void*), pointers.data()),
                    "clSetKernelExecInfo", "{} allocations", pointers.size());
  } else if (reached_ == 0) {
    const cl_bool yes = CL_TRUE;
    for (const cl_kernel_exec_info kind : {CL_KERNEL_EXEC_INFO_INDIRECT_HOST_ACCESS_INTEL,
                                           CL_KERNEL_EXEC_INFO_INDIRECT_DEVICE_ACCESS_INTEL,
                                           CL_KERNEL_EXEC_INFO_INDIRECT_SHARED_ACCESS_INTEL})
      Driver::check(driver_.clSetKernelExecInfo(kernel_, kind, sizeof(yes), &yes),
                    "clSetKernelExecInfo");
  }
  reached_ = allocated;
}

bool KernelObject::is_set(const void* block, std::uint32_t shared_bytes) const noexcept {
  return has_block_ && shared_bytes == shared_bytes_ && generation_ == memory_.generation() &&
         (block_.empty() || std::memcmp(block_.data(), block, block_.size()) == 0);
}

void KernelObject::set_arguments(const void* block, std::uint32_t shared_bytes,
                                 flagos_address_t word) {
  const auto* bytes = static_cast<const std::byte*>(block);
  const std::uint64_t generation = memory_.generation();
  const bool keep = has_block_ && parts_.empty() && generation_ == generation;
  release_parts();
  has_block_ = false;
  cl_uint index = 0;
  for (const Argument& argument : signature_.arguments) {
    const std::byte* value = bytes + argument.offset_bytes;
    if (argument.kind == ArgumentKind::local) {
      // No driver takes 0 bytes.
      if (!keep || shared_bytes != shared_bytes_)
        check(driver_.clSetKernelArg(kernel_, index, std::max(shared_bytes, 16u), nullptr),
              "clSetKernelArg", argument);
    } else if (argument.kind == ArgumentKind::failure) {
      set_address(argument, index, word);
    } else if (!keep || std::memcmp(block_.data() + argument.offset_bytes, value,
                                    argument.size_bytes) != 0) {
      set_argument(argument, index, value);
    }
    const bool is_pair = is_wrapped_ && (argument.kind == ArgumentKind::address ||
                                         argument.kind == ArgumentKind::failure);
    index += is_pair ? 2 : 1;
  }
  if (!block_.empty()) std::memmove(block_.data(), bytes, block_.size());
  shared_bytes_ = shared_bytes;
  generation_ = generation;
  has_block_ = true;
}

void KernelObject::set_argument(const Argument& argument, cl_uint index, const void* value) {
  if (argument.kind == ArgumentKind::value) {
    check(driver_.clSetKernelArg(kernel_, index, argument.size_bytes, value), "clSetKernelArg",
          argument);
    return;
  }
  flagos_address_t address = 0;
  std::memcpy(&address, value, sizeof(address));
  set_address(argument, index, address);
}

void KernelObject::set_address(const Argument& argument, cl_uint index, flagos_address_t address) {
  if (memory_.has_buffers()) {
    set_buffer(argument, index, address);
    return;
  }
  check(memory_.native().set_argument(kernel_, index, reinterpret_cast<const void*>(address)),
        "clSetKernelArgSVMPointer", argument);
}

void KernelObject::set_buffer(const Argument& argument, cl_uint index, flagos_address_t address) {
  std::uint64_t offset = 0;
  const Allocation* allocation = address != 0 ? memory_.find(address, &offset) : nullptr;
  if (allocation == nullptr && address != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "argument '{}' of kernel '{}' is {:#x}, which lies in no allocation of this device",
                argument.name, signature_.name, address);
  if (allocation != nullptr && allocation->buffer == nullptr) {
    check(memory_.native().set_argument(kernel_, index, reinterpret_cast<const void*>(address)),
          "clSetKernelArgSVMPointer", argument);
    return;
  }
  if (allocation != nullptr && offset != 0 && !is_wrapped_) {
    set_part_of_buffer(argument, index, *allocation, offset);
    return;
  }
  const cl_mem buffer = allocation != nullptr ? allocation->buffer : nullptr;
  check(
      driver_.clSetKernelArg(kernel_, index, sizeof(buffer), buffer != nullptr ? &buffer : nullptr),
      "clSetKernelArg", argument);
  const cl_ulong distance = offset;
  if (is_wrapped_)
    check(driver_.clSetKernelArg(kernel_, index + 1, sizeof(distance), &distance), "clSetKernelArg",
          argument);
}

// For code that cannot be wrapped. The driver keeps the part as long as it needs it.
void KernelObject::set_part_of_buffer(const Argument& argument, cl_uint index,
                                      const Allocation& allocation, std::uint64_t offset) {
  if (offset % memory_.base_alignment() != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "argument '{}' of kernel '{}' begins {} bytes into its allocation; with buffer "
                "objects this format takes multiples of {} only",
                argument.name, signature_.name, offset, memory_.base_alignment());
  const cl_buffer_region region = {offset, allocation.size_bytes - offset};
  cl_int code = CL_SUCCESS;
  const cl_mem part =
      driver_.clCreateSubBuffer(allocation.buffer, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
  check(code, "clCreateSubBuffer", argument);
  code = driver_.clSetKernelArg(kernel_, index, sizeof(part), &part);
  parts_.push_back(part);
  check(code, "clSetKernelArg", argument);
}

void KernelObject::check(cl_int code, const char* call, const Argument& argument) const {
  Driver::check(code, call, "argument '{}' of kernel '{}', {} bytes", argument.name,
                signature_.name, argument.size_bytes);
}

// ---- kernels ----------------------------------------------------------------------------------

Kernel::Kernel(Module& module, const Signature& signature)
    : module_(module),
      signature_(signature),
      shown_name_(std::make_shared<const std::string>(signature.name)),
      object_(module, signature) {
  if (!signature.unusable.empty())
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "kernel '{}' cannot be launched: {}", signature.name,
                signature.unusable);
  for (std::uint32_t i = 0; i < signature.arguments.size(); ++i) {
    if (signature.arguments[i].is_in_block()) in_block_.push_back(i);
    has_failure_ = has_failure_ || signature.arguments[i].kind == ArgumentKind::failure;
  }
  const auto value = [&](cl_kernel_work_group_info what, auto fallback) {
    auto result = fallback;
    const cl_int code = module.device().driver().clGetKernelWorkGroupInfo(
        object_.handle(), module.device().id(), what, sizeof(result), &result, nullptr);
    return code == CL_SUCCESS ? result : fallback;
  };
  const std::uint32_t device_limit = module.device().description().info.max_block_threads;
  const std::size_t limit = value(CL_KERNEL_WORK_GROUP_SIZE, std::size_t{device_limit});
  block_thread_limit_ = static_cast<std::uint32_t>(std::clamp<std::size_t>(limit, 1, device_limit));
  preferred_multiple_ = static_cast<std::uint32_t>(std::clamp<std::size_t>(
      value(CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE, std::size_t{1}), 1, 1024));
  static_shared_bytes_ = static_cast<std::uint32_t>(
      std::min<cl_ulong>(value(CL_KERNEL_LOCAL_MEM_SIZE, cl_ulong{0}),
                         module.device().description().info.max_shared_bytes));
}

void Kernel::fill_info(flagos_kernel_info_t& info) const noexcept {
  info.flags = FLAGOS_KERNEL_FLAG_SIGNATURE;
  std::strncpy(info.name, signature_.name.c_str(), sizeof(info.name) - 1);
  info.parameter_count = static_cast<std::uint32_t>(in_block_.size());
  info.argument_bytes = signature_.argument_bytes;
  info.max_block_threads = block_thread_limit_;
  info.static_shared_bytes = static_shared_bytes_;
}

flagos_parameter_t Kernel::parameter(std::uint32_t index) const {
  if (index >= in_block_.size())
    throw_error(FLAGOS_STATUS_NOT_FOUND, "parameter {} of '{}', which has {}", index,
                signature_.name, in_block_.size());
  const Argument& argument = signature_.arguments[in_block_[index]];
  return {argument.dtype, argument.size_bytes, argument.alignment_bytes, argument.offset_bytes};
}

void Kernel::check(const flagos_launch_desc_t& desc) const {
  if (desc.argument_bytes != signature_.argument_bytes)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' takes {} bytes of arguments, {} were given", signature_.name,
                signature_.argument_bytes, desc.argument_bytes);
  const std::uint32_t most = module_.device().description().info.max_shared_bytes;
  if (std::uint64_t{desc.shared_bytes} + static_shared_bytes_ > most)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{} bytes of shared memory and {} of '{}' itself are above {}", desc.shared_bytes,
                static_shared_bytes_, signature_.name, most);
  const std::uint32_t* fixed = signature_.fixed_block;
  if (fixed[0] != 0 && !std::equal(fixed, fixed + 3, desc.block))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' was compiled for blocks of {}x{}x{}, asked for {}x{}x{}",
                signature_.name, fixed[0], fixed[1], fixed[2], desc.block[0], desc.block[1],
                desc.block[2]);
}

void Kernel::launch(Stream& stream, const flagos_launch_desc_t& desc) {
  check(desc);
  const auto enqueue = [&](cl_command_queue queue, cl_event* out_event, flagos_address_t word) {
    return object_.launch(queue, desc, has_failure_ ? word : 0, out_event);
  };
  const auto kept = [&] { return keep(desc); };
  if (has_failure_) {
    stream.submit_guarded(operation(), "clEnqueueNDRangeKernel", enqueue, kept);
  } else {
    stream.submit(operation(), "clEnqueueNDRangeKernel", enqueue, kept);
  }
}

Command Kernel::keep(const flagos_launch_desc_t& desc) {
  object_.check(desc);
  const auto* bytes = static_cast<const std::byte*>(desc.argument_block);
  std::vector<std::byte> block(bytes, bytes + desc.argument_bytes);
  return [this, desc, block = std::move(block)](cl_command_queue queue, cl_event* out_event,
                                                flagos_address_t word) {
    flagos_launch_desc_t launch = desc;
    launch.argument_block = block.data();
    return object_.launch(queue, launch, has_failure_ ? word : 0, out_event);
  };
}

Prepared::Prepared(Kernel& kernel, const flagos_launch_desc_t& desc)
    : kernel_(kernel), object_(kernel.module(), kernel.signature()) {
  kernel.check(desc);
  object_.set_arguments(desc.argument_block, desc.shared_bytes, 0);
  set_sizes(desc, global_, local_);
}

void Prepared::launch(Stream& stream) {
  const auto enqueue = [this](cl_command_queue queue, cl_event* out_event, flagos_address_t word) {
    return object_.launch_again(queue, global_, local_, kernel_.has_failure() ? word : 0,
                                out_event);
  };
  const Operation operation = kernel_.operation();
  if (kernel_.has_failure()) {
    stream.submit_guarded(operation, "clEnqueueNDRangeKernel", enqueue,
                          [&] { return Command(enqueue); });
  } else {
    stream.submit(operation, "clEnqueueNDRangeKernel", enqueue);
  }
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
  return entry(self.module().host(), [&] { *out_parameter = self.parameter(index); });
}

flagos_status_t kernel_launch(flagos_plugin_stream_t* stream, flagos_plugin_kernel_t* kernel,
                              const flagos_launch_desc_t* desc) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] { from_c(kernel).launch(self, *desc); });
}

// OpenCL does not tell how many groups share a compute unit; one always runs.
flagos_status_t kernel_get_occupancy(flagos_plugin_kernel_t* kernel, std::uint32_t block_threads,
                                     std::uint32_t shared_bytes,
                                     std::uint32_t* out_blocks) noexcept {
  const Kernel& self = from_c(kernel);
  return entry(self.module().host(), [&] {
    const std::uint32_t most = self.module().device().description().info.max_shared_bytes;
    if (block_threads > self.block_thread_limit() || shared_bytes > most)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "a block of {} threads and {} bytes; the limits of '{}' are {} and {}",
                  block_threads, shared_bytes, self.signature().name, self.block_thread_limit(),
                  most);
    *out_blocks = 1;
  });
}

// As many as usual, in whole multiples of what the driver prefers.
flagos_status_t kernel_suggest_block(flagos_plugin_kernel_t* kernel, std::uint32_t,
                                     std::uint32_t* out_block_threads) noexcept {
  constexpr std::uint32_t usual = 256;
  const Kernel& self = from_c(kernel);
  const std::uint32_t multiple = self.preferred_multiple();
  const std::uint32_t wanted = std::max(multiple, usual / multiple * multiple);
  *out_block_threads = std::min(wanted, self.block_thread_limit());
  return FLAGOS_STATUS_OK;
}

flagos_status_t kernel_prepare(flagos_plugin_kernel_t* kernel, const flagos_launch_desc_t* desc,
                               flagos_plugin_prepared_t** out_prepared) noexcept {
  Kernel& self = from_c(kernel);
  return entry(self.module().host(),
               [&] { *out_prepared = to_c(std::make_unique<Prepared>(self, *desc).release()); });
}

flagos_status_t kernel_launch_prepared(flagos_plugin_stream_t* stream,
                                       flagos_plugin_prepared_t* prepared) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] { from_c(prepared).launch(self); });
}

void kernel_destroy_prepared(flagos_plugin_prepared_t* prepared) noexcept {
  delete &from_c(prepared);
}

}  // namespace flagos::opencl
