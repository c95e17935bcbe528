#include "plugins/cpu/kernel.hpp"

#include <ffi.h>

#include <algorithm>
#include <cstring>
#include <latch>
#include <thread>

#include "base/thread.hpp"
#include "plugins/cpu/device.hpp"
#include "plugins/cpu/handles.hpp"
#include "plugins/cpu/interpreter.hpp"
#include "plugins/cpu/module.hpp"
#include "plugins/cpu/stream.hpp"
#include "plugins/cpu/thread_pool.hpp"

namespace flagos::cpu {
namespace {

// A struct by value: to libffi a struct of so many bytes.
struct BytesType {
  explicit BytesType(std::size_t size) : elements(size, &ffi_type_uchar) {
    elements.push_back(nullptr);
    type.size = 0;
    type.alignment = 0;
    type.type = FFI_TYPE_STRUCT;
    type.elements = elements.data();
  }
  std::vector<ffi_type*> elements;
  ffi_type type{};
};

// The C type of a scalar; halves are passed as their bits. NULL when C has none.
ffi_type* scalar_type(flagos_dtype_t dtype) noexcept {
  switch (dtype) {
    case FLAGOS_DTYPE_INT8:
      return &ffi_type_sint8;
    case FLAGOS_DTYPE_INT16:
      return &ffi_type_sint16;
    case FLAGOS_DTYPE_INT32:
      return &ffi_type_sint32;
    case FLAGOS_DTYPE_INT64:
      return &ffi_type_sint64;
    case FLAGOS_DTYPE_UINT8:
    case FLAGOS_DTYPE_BOOL:
      return &ffi_type_uint8;
    case FLAGOS_DTYPE_UINT16:
    case FLAGOS_DTYPE_FLOAT16:
    case FLAGOS_DTYPE_BFLOAT16:
      return &ffi_type_uint16;
    case FLAGOS_DTYPE_UINT32:
      return &ffi_type_uint32;
    case FLAGOS_DTYPE_UINT64:
      return &ffi_type_uint64;
    case FLAGOS_DTYPE_FLOAT32:
      return &ffi_type_float;
    case FLAGOS_DTYPE_FLOAT64:
      return &ffi_type_double;
    case FLAGOS_DTYPE_ADDRESS:
      return &ffi_type_pointer;
#ifdef FFI_TARGET_HAS_COMPLEX_TYPE
    case FLAGOS_DTYPE_COMPLEX64:
      return &ffi_type_complex_float;
#endif
    default:
      return nullptr;
  }
}

// The first failure of a launch, told by any of its blocks.
struct FailureSlot {
  const Host* host = nullptr;  // takes what is printed
  std::atomic<bool> is_set{false};
  flagos_status_t status = FLAGOS_STATUS_OK;
  char text[1024];

  void set(flagos_status_t why, const char* what) noexcept {
    if (is_set.exchange(true)) return;
    status = FLAGOS_STATUS_CLASS(why) == FLAGOS_STATUS_CLASS_ANSWER ? FLAGOS_STATUS_EXECUTION_FAILED
                                                                    : why;
    std::strncpy(text, what != nullptr ? what : "", sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
  }
  Failure take(const std::string& kernel) const noexcept {
    if (!is_set.load()) return nullptr;
    char whole[1200];
    const auto end =
        fmt::format_to_n(whole, sizeof(whole) - 1, "kernel '{:.100}': {}", kernel, text);
    *end.out = '\0';
    return make_failure(status, whole);
  }
};

void fail_block(const flagos_cpu_block_t* block, flagos_status_t status, const char* text) {
  static_cast<FailureSlot*>(block->context)->set(status, text);
}

void write_element(std::string& text, const flagos_cpu_value_t& value, std::uint32_t i) {
  const auto at = [&]<typename T>(T) { return static_cast<const T*>(value.data)[i]; };
  switch (value.dtype) {
    case FLAGOS_DTYPE_BOOL:
      text += at(std::uint8_t{}) != 0 ? "true" : "false";
      break;
    case FLAGOS_DTYPE_INT64:
      text += fmt::format("{}", at(std::int64_t{}));
      break;
    case FLAGOS_DTYPE_UINT64:
      text += fmt::format("{}", at(std::uint64_t{}));
      break;
    case FLAGOS_DTYPE_FLOAT32:
      text += fmt::format("{}", at(float{}));
      break;
    case FLAGOS_DTYPE_FLOAT64:
      text += fmt::format("{}", at(double{}));
      break;
    default:
      text += "?";
  }
}

// A kernel's word to its author.
void report_block(const flagos_cpu_block_t* block, const char* message,
                  const flagos_cpu_value_t* values, std::uint32_t value_count) {
  const Host* host = static_cast<FailureSlot*>(block->context)->host;
  if (host == nullptr) return;
  guard(
      [&] {
        const std::uint32_t* index = block->block_index;
        std::string text =
            fmt::format("block ({}, {}, {}): {}", index[0], index[1], index[2], message);
        for (std::uint32_t v = 0; v < value_count; ++v) {
          const flagos_cpu_value_t& value = values[v];
          text += value.count == 0 ? " " : " [";
          for (std::uint32_t i = 0; i < value.shown; ++i) {
            if (i != 0) text += ", ";
            write_element(text, value, i);
          }
          if (value.count > value.shown) text += ", ...";
          if (value.count != 0) text += "]";
        }
        host->log(FLAGOS_LOG_LEVEL_INFO, text);
      },
      [](flagos_status_t, const char*) {});
}

// One launch of a native kernel, shared by the threads that run its blocks.
struct NativeLaunch {
  flagos_cpu_function_t function;
  const void* arguments;
  flagos_cpu_block_t block{};  // as every thread starts from
  const std::uint64_t blocks;
  const std::uint64_t piece;  // blocks that are shared out as one: more only for a giant grid
  FailureSlot failure;

  NativeLaunch(flagos_cpu_function_t native, const void* block_arguments, const LaunchShape& shape,
               std::uint32_t shared_bytes, const Host* host) noexcept
      : function(native),
        arguments(block_arguments),
        blocks(std::uint64_t{shape.grid[0]} * shape.grid[1] * shape.grid[2]),
        piece(blocks / Job::max_total + 1) {
    block.struct_size = sizeof(block);
    std::copy_n(shape.grid, 3, block.grid);
    std::copy_n(shape.block, 3, block.block);
    block.shared_bytes = shared_bytes;
    block.fail = fail_block;
    block.context = &failure;
    block.report = report_block;
    failure.host = host;
  }

  // Whether `mine` has the shared memory that it needs.
  bool share(flagos_cpu_block_t& mine, Worker& worker) noexcept {
    if (mine.shared_bytes == 0) return true;
    mine.shared = worker.scratch(mine.shared_bytes);
    if (mine.shared == nullptr)
      failure.set(FLAGOS_STATUS_OUT_OF_HOST_MEMORY, "no memory for the shared memory of a block");
    return mine.shared != nullptr;
  }

  // The one block of a small launch: nothing to divide, nothing to copy.
  void run_single(Worker& worker) noexcept {
    if (!share(block, worker)) return;
    guard([&] { function(&block, arguments); },
          [&](flagos_status_t, const char* text) {
            failure.set(FLAGOS_STATUS_EXECUTION_FAILED, text);
          });
  }

  std::uint64_t pieces() const noexcept { return (blocks - 1) / piece + 1; }

  void run_pieces(std::uint64_t first, std::uint64_t last, Worker& worker) noexcept {
    run(first * piece, std::min(last * piece, blocks), worker);
  }

  void run(std::uint64_t first, std::uint64_t last, Worker& worker) noexcept {
    flagos_cpu_block_t mine = block;
    if (!share(mine, worker)) return;
    std::uint32_t* index = mine.block_index;
    index[0] = static_cast<std::uint32_t>(first % mine.grid[0]);
    index[1] = static_cast<std::uint32_t>(first / mine.grid[0] % mine.grid[1]);
    index[2] = static_cast<std::uint32_t>(first / mine.grid[0] / mine.grid[1]);
    // A kernel in C++ may throw.
    guard(
        [&] {
          for (std::uint64_t i = first; i < last && !failure.is_set.load(std::memory_order_relaxed);
               ++i) {
            function(&mine, arguments);
            if (++index[0] < mine.grid[0]) continue;
            index[0] = 0;
            if (++index[1] < mine.grid[1]) continue;
            index[1] = 0;
            ++index[2];
          }
        },
        [&](flagos_status_t, const char* text) {
          failure.set(FLAGOS_STATUS_EXECUTION_FAILED, text);
        });
  }
};

}  // namespace

// ---- launches ---------------------------------------------------------------------------------

bool LaunchShape::is_empty() const noexcept {
  return std::any_of(grid, grid + 3, [](std::uint32_t n) { return n == 0; }) ||
         std::any_of(block, block + 3, [](std::uint32_t n) { return n == 0; });
}

LaunchShape LaunchShape::of(const flagos_launch_desc_t& desc) noexcept {
  LaunchShape shape{};
  std::copy_n(desc.grid, 3, shape.grid);
  std::copy_n(desc.block, 3, shape.block);
  shape.shared_bytes = desc.shared_bytes;
  shape.is_together = (desc.flags & FLAGOS_LAUNCH_FLAG_COOPERATIVE) != 0;
  return shape;
}

struct Call {
  void* function = nullptr;
  ffi_cif cif{};
  std::vector<ffi_type*> types;
  std::vector<std::unique_ptr<BytesType>> structs;
  std::vector<std::uint32_t> offsets;
};

void CallDelete::operator()(Call* call) const noexcept { delete call; }

Kernel::Kernel(Module& module, std::string name, const flagos_cpu_kernel_t& descriptor)
    : module_(module),
      name_(std::move(name)),
      parameters_(descriptor.parameters, descriptor.parameters + descriptor.parameter_count),
      argument_bytes_(descriptor.argument_bytes),
      static_shared_bytes_(descriptor.static_shared_bytes),
      native_(descriptor.function) {
  if (descriptor.max_block_threads != 0)
    block_thread_limit_ = std::min(descriptor.max_block_threads, max_block_threads);
}

Kernel::Kernel(Module& module, std::string name, void* function,
               std::span<const flagos_parameter_t> parameters)
    : module_(module),
      name_(std::move(name)),
      parameters_(parameters.begin(), parameters.end()),
      block_thread_limit_(1),
      plain_(new Call) {
  std::uint32_t alignment = 1;
  for (const flagos_parameter_t& parameter : parameters_) {
    const std::size_t index = static_cast<std::size_t>(&parameter - parameters_.data());
    ffi_type* type = scalar_type(parameter.dtype);
    if (parameter.dtype == FLAGOS_DTYPE_BYTES) {
      plain_->structs.push_back(std::make_unique<BytesType>(parameter.size_bytes));
      type = &plain_->structs.back()->type;
    } else if (type == nullptr || type->size != parameter.size_bytes) {
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "parameter {} of '{}': no C type of dtype {:#010x} has {} bytes", index, name_,
                  parameter.dtype, parameter.size_bytes);
    }
    plain_->types.push_back(type);
    plain_->offsets.push_back(parameter.offset_bytes);
    alignment = std::max(alignment, parameter.alignment_bytes);
    argument_bytes_ = std::max(argument_bytes_, parameter.offset_bytes + parameter.size_bytes);
  }
  // As sizeof counts for a struct of these members.
  argument_bytes_ = (argument_bytes_ + alignment - 1) / alignment * alignment;
  plain_->function = function;
  const ffi_status status =
      ffi_prep_cif(&plain_->cif, FFI_DEFAULT_ABI, static_cast<unsigned>(plain_->types.size()),
                   &ffi_type_void, plain_->types.data());
  if (status != FFI_OK)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "libffi does not take the signature of '{}' (ffi_status {})", name_,
                static_cast<int>(status));
}

Kernel::Kernel(Module& module, const Interpreter& interpreter, std::uint32_t index)
    : module_(module),
      name_(interpreter.kernels()[index].name),
      parameters_(interpreter.kernels()[index].parameters),
      argument_bytes_(interpreter.kernels()[index].argument_bytes),
      block_thread_limit_(1),
      interpreter_(&interpreter),
      interpreted_(index) {}

void Kernel::fill_info(flagos_kernel_info_t& info) const noexcept {
  info.flags = FLAGOS_KERNEL_FLAG_SIGNATURE;
  std::strncpy(info.name, name_.c_str(), sizeof(info.name) - 1);
  info.parameter_count = static_cast<std::uint32_t>(parameters_.size());
  info.argument_bytes = argument_bytes_;
  info.max_block_threads = block_thread_limit_;
  info.static_shared_bytes = static_shared_bytes_;
}

void Kernel::check(const flagos_launch_desc_t& desc) const {
  if (desc.argument_bytes != argument_bytes_)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' takes {} bytes of arguments, {} were given", name_, argument_bytes_,
                desc.argument_bytes);
  if (desc.shared_bytes != 0 &&
      std::uint64_t{desc.shared_bytes} + static_shared_bytes_ > max_shared_bytes)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "{} bytes of shared memory and {} of '{}' itself are above {}", desc.shared_bytes,
                static_shared_bytes_, name_, max_shared_bytes);
  if ((desc.flags & FLAGOS_LAUNCH_FLAG_COOPERATIVE) != 0 && interpreter_ != nullptr)
    throw_error(
        FLAGOS_STATUS_UNSUPPORTED,
        "a cooperative launch of '{}': blocks of interpreted kernels run one after the other",
        name_);
  const auto is_one = [](std::uint32_t n) { return n == 1; };
  if (plain_ && !(std::all_of(desc.grid, desc.grid + 3, is_one) &&
                  std::all_of(desc.block, desc.block + 3, is_one)))
    throw_error(
        FLAGOS_STATUS_INVALID_ARGUMENT,
        "'{}' is a plain function, called once: grid {}x{}x{} and block {}x{}x{} must be 1x1x1",
        name_, desc.grid[0], desc.grid[1], desc.grid[2], desc.block[0], desc.block[1],
        desc.block[2]);
}

Failure Kernel::run(const LaunchShape& shape, const void* arguments,
                    Worker& worker) const noexcept {
  if (interpreter_ != nullptr) return interpreter_->run(interpreted_, shape, arguments);
  if (plain_) return run_plain(arguments);
  return shape.is_together ? run_together(shape, arguments, worker)
                           : run_native(shape, arguments, worker);
}

Failure Kernel::run_native(const LaunchShape& shape, const void* arguments,
                           Worker& worker) const noexcept {
  NativeLaunch launch(native_, arguments, shape, shape.shared_bytes + static_shared_bytes_,
                      &module_.host());
  const std::uint64_t blocks = launch.blocks;
  if (blocks == 1) {
    launch.run_single(worker);
  } else {
    Job job;
    job.body = [](void* context, std::uint64_t first, std::uint64_t last, Worker& helper) {
      static_cast<NativeLaunch*>(context)->run_pieces(first, last, helper);
    };
    job.context = &launch;
    job.total = launch.pieces();
    const double block_ns = static_cast<double>(block_ps_.load(std::memory_order_relaxed)) / 1000;
    job.expected_ns = static_cast<std::uint64_t>(block_ns * static_cast<double>(blocks));
    const std::uint64_t started_ns = now_ns();
    worker.pool().share(job, worker);
    const std::uint64_t threads = job.helpers + 1;
    block_ps_.store((now_ns() - started_ns) * 1000 * threads / blocks + 1,
                    std::memory_order_relaxed);
  }
  return launch.failure.take(name_);
}

// Each block on a thread of its own, since it may wait for the others: they are as many as there are processors.
Failure Kernel::run_together(const LaunchShape& shape, const void* arguments,
                             Worker& worker) const noexcept {
  NativeLaunch launch(native_, arguments, shape, shape.shared_bytes + static_shared_bytes_,
                      &module_.host());
  std::latch all_there(1);
  std::vector<std::thread> threads;
  guard(
      [&] {
        threads.reserve(launch.blocks);
        for (std::uint64_t i = 1; i < launch.blocks; ++i)
          threads.push_back(start_thread("cpu-block", {}, [&launch, &all_there, &worker, i] {
            Worker own(worker.pool());
            all_there.wait();
            launch.run(i, i + 1, own);
          }));
      },
      [&](flagos_status_t status, const char* text) { launch.failure.set(status, text); });
  all_there.count_down();
  launch.run(0, 1, worker);
  for (std::thread& thread : threads) thread.join();
  return launch.failure.take(name_);
}

Failure Kernel::run_plain(const void* arguments) const noexcept {
  const std::vector<std::uint32_t>& offsets = plain_->offsets;
  // libffi reads the arguments and does not write them.
  auto* block = static_cast<std::byte*>(const_cast<void*>(arguments));
  FailureSlot failure;
  guard(
      [&] {
        constexpr std::size_t few = 32;
        void* on_stack[few];
        std::vector<void*> many(offsets.size() > few ? offsets.size() : 0);
        void** values = many.empty() ? on_stack : many.data();
        for (std::size_t i = 0; i < offsets.size(); ++i) values[i] = block + offsets[i];
        ffi_call(&plain_->cif, FFI_FN(plain_->function), nullptr, values);
      },
      [&](flagos_status_t, const char* text) {
        failure.set(FLAGOS_STATUS_EXECUTION_FAILED, text);
      });
  return failure.take(name_);
}

Prepared::Prepared(const Kernel& kernel, const flagos_launch_desc_t& desc)
    : kernel_(kernel),
      shape_(LaunchShape::of(desc)),
      arguments_(static_cast<const std::byte*>(desc.argument_block),
                 static_cast<const std::byte*>(desc.argument_block) + desc.argument_bytes) {}

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
  return entry(self.device().host(), [&] {
    const Kernel& launched = from_c(kernel);
    launched.check(*desc);
    self.submit_launch(launched, LaunchShape::of(*desc), desc->argument_block,
                       desc->argument_bytes);
  });
}

// A block runs on one processor from its first thread to its last.
flagos_status_t kernel_get_occupancy(flagos_plugin_kernel_t* kernel, std::uint32_t block_threads,
                                     std::uint32_t shared_bytes,
                                     std::uint32_t* out_blocks) noexcept {
  const Kernel& self = from_c(kernel);
  return entry(self.module().host(), [&] {
    if (block_threads > self.block_thread_limit() || shared_bytes > max_shared_bytes)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "a block of {} threads and {} bytes; the limits of '{}' are {} and {}",
                  block_threads, shared_bytes, self.name(), self.block_thread_limit(),
                  max_shared_bytes);
    *out_blocks = 1;
  });
}

// Enough work per call of the kernel to hide the call, little enough to share a small grid.
flagos_status_t kernel_suggest_block(flagos_plugin_kernel_t* kernel, std::uint32_t,
                                     std::uint32_t* out_block_threads) noexcept {
  constexpr std::uint32_t usual = 256;
  *out_block_threads = std::min(usual, from_c(kernel).block_thread_limit());
  return FLAGOS_STATUS_OK;
}

flagos_status_t kernel_prepare(flagos_plugin_kernel_t* kernel, const flagos_launch_desc_t* desc,
                               flagos_plugin_prepared_t** out_prepared) noexcept {
  const Kernel& self = from_c(kernel);
  return entry(self.module().host(), [&] {
    self.check(*desc);
    *out_prepared = to_c(std::make_unique<Prepared>(self, *desc).release());
  });
}

flagos_status_t kernel_launch_prepared(flagos_plugin_stream_t* stream,
                                       flagos_plugin_prepared_t* prepared) noexcept {
  Stream& self = from_c(stream);
  return entry(self.device().host(), [&] {
    const Prepared& launch = from_c(prepared);
    self.submit_launch(launch.kernel(), launch.shape(), launch.arguments().data(),
                       launch.arguments().size());
  });
}

void kernel_destroy_prepared(flagos_plugin_prepared_t* prepared) noexcept {
  delete &from_c(prepared);
}

}  // namespace flagos::cpu
