// Kernels: launches, their checks, and prepared launches.
#include <cstring>

#include "core/entry.hpp"
#include "core/module.hpp"
#include "core/stream.hpp"
#include "core/tile_binary.hpp"
#include "core/validation.hpp"

namespace flagos::core {

Kernel::Kernel(Module& module, flagos_plugin_kernel_t* native, const TileRecord* record)
    : Child(Tag::kernel, module.device()), module_(&module), native_(native), record_(record) {
  info_.struct_size = sizeof(info_);
  expect(tables().kernel.get_info(native_, &info_), "kernel.get_info");
  info_.struct_size = sizeof(info_);
  info_.name[sizeof(info_.name) - 1] = '\0';
  if (info_.parameter_count > device().info().max_argument_bytes ||
      info_.argument_bytes > device().info().max_argument_bytes)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin reports {} parameters in {} bytes for kernel '{}'",
                info_.parameter_count, info_.argument_bytes, info_.name);
  parameters_.resize(info_.parameter_count);
  for (std::uint32_t i = 0; i < info_.parameter_count; ++i) {
    expect(tables().kernel.get_parameter(native_, i, &parameters_[i]), "kernel.get_parameter");
    if (std::uint64_t{parameters_[i].offset_bytes} + parameters_[i].size_bytes > info_.argument_bytes)
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "parameter {} of kernel '{}' ends past its argument block", i,
                  info_.name);
  }
  plain_block_threads_ = plugin_block_threads_ = info_.max_block_threads;
  if (record_ != nullptr) take_record();
}

// What the caller sees is the portable kernel: its parameters, and blocks of one program.
void Kernel::take_record() {
  // The image may call it by another name.
  info_.name[record_->name.copy(info_.name, sizeof(info_.name) - 1)] = '\0';
  const auto same = [](const flagos_parameter_t& a, const flagos_parameter_t& b) {
    return a.size_bytes == b.size_bytes && a.offset_bytes == b.offset_bytes;
  };
  const bool fits = !has_signature() || std::equal(parameters_.begin(), parameters_.end(), record_->parameters.begin(),
                                                   record_->parameters.end(), same);
  if (!fits || record_->threads == 0 || record_->threads > info_.max_block_threads)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                "kernel '{}' has {} parameters and {} threads at most, its launch record {} and {}", info_.name,
                parameters_.size(), info_.max_block_threads, record_->parameters.size(), record_->threads);
  if (!has_signature()) info_.argument_bytes = record_->argument_bytes;
  parameters_ = record_->parameters;
  info_.parameter_count = static_cast<std::uint32_t>(parameters_.size());
  info_.flags |= FLAGOS_KERNEL_FLAG_SIGNATURE;
  info_.max_block_threads = 1;
  plain_block_threads_ = record_->threads == 1 && record_->shared_bytes == 0 ? 1 : 0;
}

bool is_empty_launch(const flagos_launch_desc_t& desc) {
  return desc.grid[0] == 0 || desc.grid[1] == 0 || desc.grid[2] == 0 || desc.block[0] == 0 || desc.block[1] == 0 ||
         desc.block[2] == 0;
}

namespace {

[[noreturn]] void throw_dimension(const Kernel& kernel, const flagos_launch_desc_t& desc) {
  const flagos_device_info_t& info = kernel.device().info();
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
              "kernel '{}': grid {}x{}x{}, block {}x{}x{} ({} threads) with {} shared bytes; device {} allows grid "
              "{}x{}x{}, block {}x{}x{} ({} threads) and {} shared bytes",
              kernel.info().name, desc.grid[0], desc.grid[1], desc.grid[2], desc.block[0], desc.block[1], desc.block[2],
              std::uint64_t{desc.block[0]} * desc.block[1] * desc.block[2], desc.shared_bytes, info.id,
              info.max_grid[0], info.max_grid[1], info.max_grid[2], info.max_block[0], info.max_block[1],
              info.max_block[2], kernel.info().max_block_threads, info.max_shared_bytes);
}

bool fits_device(const Kernel& kernel, const flagos_launch_desc_t& desc, std::uint32_t block_threads) {
  const flagos_device_info_t& info = kernel.device().info();
  bool fits = true;
  for (int i = 0; i < 3; ++i) fits = fits && desc.grid[i] <= info.max_grid[i] && desc.block[i] <= info.max_block[i];
  // Each factor is bounded by now, so the product cannot wrap.
  return fits && desc.shared_bytes <= info.max_shared_bytes &&
         std::uint64_t{desc.block[0]} * desc.block[1] * desc.block[2] <= block_threads;
}

// What a launch of a portable kernel says: programs. What its plugin is told: threads and shared memory of its record.
// Throws for a launch that does not fit.
[[gnu::noinline]] void refit(const Kernel& kernel, flagos_launch_desc_t& desc) {
  const TileRecord* record = kernel.record();
  if (record == nullptr) throw_dimension(kernel, desc);
  if (desc.block[0] != 1 || desc.block[1] != 1 || desc.block[2] != 1 || desc.shared_bytes != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "kernel '{}' is a portable one: its grid is in programs, its block 1x1x1 and its shared bytes 0; given "
                "were {}x{}x{} and {}",
                kernel.info().name, desc.block[0], desc.block[1], desc.block[2], desc.shared_bytes);
  desc.block[0] = record->threads;
  desc.shared_bytes = record->shared_bytes;
  if (!fits_device(kernel, desc, kernel.plugin_block_threads())) throw_dimension(kernel, desc);
}

[[noreturn]] void throw_argument_bytes(const Kernel& kernel, const flagos_launch_desc_t& desc) {
  if (desc.argument_block == nullptr && desc.argument_bytes != 0)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "argument_bytes is {} and argument_block is NULL", desc.argument_bytes);
  if (kernel.has_signature())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "kernel '{}' takes an argument block of {} bytes, {} were given",
                kernel.info().name, kernel.info().argument_bytes, desc.argument_bytes);
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "an argument block of {} bytes; device {} takes at most {}",
              desc.argument_bytes, kernel.device().info().id, kernel.device().info().max_argument_bytes);
}

void check_block(const Kernel& kernel, const flagos_launch_desc_t& desc) {
  const std::uint64_t bytes = desc.argument_bytes;
  const bool fits = kernel.has_signature() ? bytes == kernel.info().argument_bytes
                                           : bytes <= kernel.device().info().max_argument_bytes;
  if (!fits || (desc.argument_block == nullptr && bytes != 0)) [[unlikely]]
    throw_argument_bytes(kernel, desc);
}

void validate(const Kernel& kernel, const flagos_launch_desc_t& desc) {
  if (process_state.load(std::memory_order_relaxed) & process_validating) [[unlikely]]
    validate_launch(kernel, desc);
}

std::uint32_t size_of(const flagos_argument_t& argument, std::uint32_t index) {
  if (argument.dtype == FLAGOS_DTYPE_BYTES) return argument.size_bytes;
  const std::uint32_t size = (FLAGOS_DTYPE_BITS(argument.dtype) * FLAGOS_DTYPE_LANES(argument.dtype) + 7) / 8;
  if (size == 0 || size > sizeof(argument.value))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "argument {} has dtype {:#x}, which is no scalar of up to 8 bytes",
                index, argument.dtype);
  if (argument.size_bytes != 0 && argument.size_bytes != size)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "argument {} has size_bytes {}, its dtype has {}", index,
                argument.size_bytes, size);
  return size;
}

const void* bytes_of(const flagos_argument_t& argument, std::uint32_t index) {
  if (argument.dtype != FLAGOS_DTYPE_BYTES) return &argument.value;
  const auto* pointer = reinterpret_cast<const void*>(static_cast<std::uintptr_t>(argument.value));
  if (pointer == nullptr)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "argument {} is FLAGOS_DTYPE_BYTES and its address is NULL", index);
  return pointer;
}

[[noreturn]] void throw_argument(const Kernel& kernel, std::uint32_t index, const flagos_argument_t& argument,
                                 std::uint32_t size, const flagos_parameter_t& parameter) {
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
              "argument {} of kernel '{}' has dtype {:#x} and {} bytes, its parameter dtype {:#x} and {} bytes", index,
              kernel.info().name, argument.dtype, size, parameter.dtype, parameter.size_bytes);
}

// Where the signature is known: each argument at its parameter's offset. Gives the block's size.
std::uint64_t pack_by_signature(const Kernel& kernel, const flagos_launch_desc_t& desc, std::byte* block) {
  const auto& parameters = kernel.parameters();
  if (desc.argument_count != parameters.size())
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "kernel '{}' takes {} arguments, {} were given", kernel.info().name,
                parameters.size(), desc.argument_count);
  std::memset(block, 0, kernel.info().argument_bytes);
  for (std::uint32_t i = 0; i < desc.argument_count; ++i) {
    const flagos_argument_t& argument = desc.arguments[i];
    const std::uint32_t size = size_of(argument, i);
    if (size != parameters[i].size_bytes || argument.dtype != parameters[i].dtype)
      throw_argument(kernel, i, argument, size, parameters[i]);
    std::memcpy(block + parameters[i].offset_bytes, bytes_of(argument, i), size);
  }
  return kernel.info().argument_bytes;
}

// Without one: one behind the other at natural alignment, opaque bytes at 8.
std::uint64_t pack_in_order(const flagos_launch_desc_t& desc, std::byte* block, std::uint64_t room) {
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < desc.argument_count; ++i) {
    const flagos_argument_t& argument = desc.arguments[i];
    const std::uint32_t size = size_of(argument, i);
    const std::uint64_t alignment = argument.dtype == FLAGOS_DTYPE_BYTES ? 8 : size;
    const std::uint64_t offset = (end + alignment - 1) / alignment * alignment;
    if (offset + size > room)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "argument {} ends at byte {} of an argument block of at most {}", i,
                  offset + size, room);
    std::memset(block + end, 0, offset - end);
    std::memcpy(block + offset, bytes_of(argument, i), size);
    end = offset + size;
  }
  return end;
}

// Blocks on one compute unit. What is portable has threads and shared memory of its own.
std::uint32_t occupancy_of(const Kernel& kernel, std::uint32_t block_threads, std::uint32_t shared_bytes) {
  std::uint32_t blocks = 1;  // what any kernel reaches that can be launched at all
  if (kernel.record() != nullptr) {
    block_threads = kernel.record()->threads;
    shared_bytes = kernel.record()->shared_bytes;
  }
  if (kernel.tables().has.occupancy)
    expect(kernel.tables().kernel.get_occupancy(kernel.native(), block_threads, shared_bytes, &blocks),
           "kernel.get_occupancy");
  return blocks;
}

std::uint64_t volume(const std::uint32_t (&dims)[3]) {
  std::uint64_t product = 1;
  for (const std::uint32_t dim : dims) product = std::min<std::uint64_t>(product * dim, UINT32_MAX);
  return product;
}

// Blocks that may wait for each other must all have a place at once.
void check_room(const Kernel& kernel, const flagos_launch_desc_t& desc) {
  const flagos_device_info_t& info = kernel.device().info();
  const std::uint64_t asked = volume(desc.grid), threads = volume(desc.block);
  // Nothing to launch, or what is refused anyway.
  if (asked == 0 || threads == 0 || threads > kernel.info().max_block_threads ||
      desc.shared_bytes > info.max_shared_bytes)
    return;
  const std::uint64_t most =
      std::uint64_t{occupancy_of(kernel, static_cast<std::uint32_t>(threads), desc.shared_bytes)} * info.compute_units;
  if (asked > most)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                "a cooperative launch of {}x{}x{} blocks of kernel '{}' with {} threads and {} shared bytes; {} are on "
                "device {} at once",
                desc.grid[0], desc.grid[1], desc.grid[2], kernel.info().name, threads, desc.shared_bytes, most,
                info.id);
}

// How the blocks of a grid stand to each other.
[[gnu::noinline]] void check_launch_flags(const Kernel& kernel, const flagos_launch_desc_t& desc) {
  constexpr std::uint32_t cluster_bits = ~std::uint32_t{0xff};
  check_flags(desc.flags, FLAGOS_LAUNCH_FLAG_COOPERATIVE | cluster_bits, "flagos_launch_desc_t.flags");
  const flagos_device_info_t& info = kernel.device().info();
  if ((desc.flags & FLAGOS_LAUNCH_FLAG_COOPERATIVE) != 0 &&
      (info.capabilities & FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH) == 0)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "a cooperative launch of kernel '{}': device {} has no FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH; "
                "split the kernel where its blocks wait for each other",
                kernel.info().name, info.id);
  if ((desc.flags & FLAGOS_LAUNCH_FLAG_COOPERATIVE) != 0) check_room(kernel, desc);
  if ((desc.flags & cluster_bits) == 0) return;
  if ((info.capabilities & FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH) == 0)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "a launch of kernel '{}' in clusters: device {} has no FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH",
                kernel.info().name, info.id);
  for (int i = 0; i < 3; ++i) {
    const std::uint32_t blocks = desc.flags >> (8 + 8 * i) & 0xff;
    if (blocks == 0 || desc.grid[i] % blocks != 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
                  "kernel '{}': clusters of {}x{}x{} blocks do not divide a grid of {}x{}x{}", kernel.info().name,
                  desc.flags >> 8 & 0xff, desc.flags >> 16 & 0xff, desc.flags >> 24, desc.grid[0], desc.grid[1],
                  desc.grid[2]);
  }
}

void check_forms(const Kernel& kernel, const flagos_launch_desc_t& desc) {
  if (desc.argument_block != nullptr && desc.arguments != nullptr)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "give either argument_block or arguments, not both");
  if (desc.argument_count != 0 && desc.arguments == nullptr)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "argument_count is {} and arguments is NULL", desc.argument_count);
  if (desc.flags != 0) [[unlikely]]
    check_launch_flags(kernel, desc);
}

constexpr std::size_t inline_block_bytes = 512;

// A desc as the plugin wants it: packed. The block lives in `storage` or is the caller's own.
class Packed {
 public:
  Packed(const Kernel& kernel, const flagos_launch_desc_t& desc) : desc_(desc) {
    desc_.struct_size = sizeof(desc_);
    desc_.next = nullptr;
    if (desc.arguments != nullptr) pack(kernel, desc);
    if (!fits_device(kernel, desc_, kernel.plain_block_threads())) [[unlikely]]
      refit(kernel, desc_);
    check_block(kernel, desc_);
    validate(kernel, desc_);
  }
  const flagos_launch_desc_t& desc() const { return desc_; }

 private:
  void pack(const Kernel& kernel, const flagos_launch_desc_t& given) {
    const std::uint64_t room =
        kernel.has_signature() ? kernel.info().argument_bytes : kernel.device().info().max_argument_bytes;
    std::byte* block = inline_;
    if (room > inline_block_bytes && !fits_inline(kernel, given)) {
      large_.resize(room);
      block = large_.data();
    }
    desc_.argument_bytes =
        kernel.has_signature() ? pack_by_signature(kernel, given, block) : pack_in_order(given, block, room);
    desc_.argument_block = desc_.argument_bytes == 0 ? nullptr : block;
    desc_.arguments = nullptr;
    desc_.argument_count = 0;
  }
  // Without a signature the device's limit says little: the arguments themselves are looked at.
  static bool fits_inline(const Kernel& kernel, const flagos_launch_desc_t& given) {
    if (kernel.has_signature()) return false;
    std::uint64_t most = 0;
    for (std::uint32_t i = 0; i < given.argument_count; ++i)
      most += 16 + (given.arguments[i].dtype == FLAGOS_DTYPE_BYTES ? given.arguments[i].size_bytes : 0);
    return most <= inline_block_bytes;
  }

  flagos_launch_desc_t desc_;
  alignas(16) std::byte inline_[inline_block_bytes];
  std::vector<std::byte> large_;
};

LaunchCommand make_packed(Kernel& kernel, const flagos_launch_desc_t& desc) {
  LaunchCommand command{Ref<Kernel>(&kernel), desc, {}};
  const auto* bytes = static_cast<const std::byte*>(desc.argument_block);
  command.arguments.assign(bytes, bytes + desc.argument_bytes);
  command.desc.argument_block = command.arguments.empty() ? nullptr : command.arguments.data();
  return command;
}

}  // namespace

LaunchCommand make_launch(Kernel& kernel, const flagos_launch_desc_t& desc) {
  check_desc(&desc, "flagos_launch_desc_t");
  check_forms(kernel, desc);
  const Packed packed(kernel, desc);
  return make_packed(kernel, packed.desc());
}

Prepared::Prepared(Kernel& kernel, LaunchCommand launch)
    : Child(Tag::prepared, kernel.device()), launch_(std::move(launch)) {
  launch_.desc.argument_block = launch_.arguments.empty() ? nullptr : launch_.arguments.data();
  if (empty() || !tables().has.prepare) return;
  expect(tables().kernel.prepare(kernel.native(), &launch_.desc, &native_), "kernel.prepare");
  if (native_ == nullptr)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "the plugin returned OK and no object from kernel.prepare");
  validate_made(&device(), NativeKind::prepared, native_, "kernel.prepare");
}

void Prepared::release() {
  if (native_ != nullptr) {
    validate_gone(&device(), NativeKind::prepared, native_);
    tables().kernel.destroy_prepared(native_);
  }
  delete this;
}

bool Prepared::empty() const { return is_empty_launch(launch_.desc); }

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_kernel_get_info(flagos_kernel_t* kernel, flagos_kernel_info_t* out_info) {
  return entry(
      __func__,
      [&] {
        begin_out(out_info, "out_info");
        finish_out(out_info, resolve<Kernel>(kernel, "kernel").info());
      },
      Callback::allowed);
}

flagos_status_t flagos_kernel_get_parameter(flagos_kernel_t* kernel, uint32_t index,
                                            flagos_parameter_t* out_parameter) {
  clear_out(out_parameter);
  return entry(__func__, [&] {
    Kernel& object = resolve<Kernel>(kernel, "kernel");
    require(out_parameter, "out_parameter");
    if (index >= object.parameters().size())
      throw_error(FLAGOS_STATUS_NOT_FOUND, "parameter {} of {} of kernel '{}'", index, object.parameters().size(),
                  object.info().name);
    *out_parameter = object.parameters()[index];
  });
}

namespace {

[[gnu::always_inline]] inline flagos_status_t launch_copy(Stream& target, Kernel& kernel,
                                                          const flagos_launch_desc_t& given) {
  const Packed packed(kernel, given);
  return target.submit([&] { return target.tables().kernel.launch(target.native(), kernel.native(), &packed.desc()); },
                       [&] { return make_packed(kernel, packed.desc()); }, "kernel.launch");
}

// A portable kernel whose block core puts in, or a launch that does not fit.
[[gnu::noinline]] flagos_status_t launch_refitted(Stream& target, Kernel& kernel, const flagos_launch_desc_t& given) {
  return launch_copy(target, kernel, given);
}

}  // namespace

flagos_status_t flagos_kernel_launch(flagos_stream_t* stream, flagos_kernel_t* kernel,
                                     const flagos_launch_desc_t* desc) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& target = resolve<Stream>(stream, "stream");
    Kernel& object = resolve<Kernel>(kernel, "kernel");
    const flagos_launch_desc_t& given = check_desc(desc, "flagos_launch_desc_t");
    if (&target.device() != &object.device()) [[unlikely]]
      check_same_device(target.device(), object.device(), "the kernel");
    check_forms(object, given);
    if (is_empty_launch(given)) [[unlikely]]
      return FLAGOS_STATUS_OK;
    // The common case: packed already, of this version's size, nothing chained.
    if (given.arguments == nullptr && given.struct_size == sizeof(given) && given.next == nullptr) [[likely]] {
      if (!fits_device(object, given, object.plain_block_threads())) [[unlikely]]
        return launch_refitted(target, object, given);
      check_block(object, given);
      validate(object, given);
      return target.submit([&] { return target.tables().kernel.launch(target.native(), object.native(), &given); },
                           [&] { return make_packed(object, given); }, "kernel.launch");
    }
    return launch_copy(target, object, given);
  });
}

namespace {

void check_block_threads(const Kernel& kernel, std::uint32_t block_threads, std::uint32_t shared_bytes) {
  if (block_threads == 0 || block_threads > kernel.info().max_block_threads)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a block of {} threads; kernel '{}' allows 1 to {}", block_threads,
                kernel.info().name, kernel.info().max_block_threads);
  if (shared_bytes > kernel.device().info().max_shared_bytes)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "{} shared bytes; device {} has {}", shared_bytes,
                kernel.device().info().id, kernel.device().info().max_shared_bytes);
}

}  // namespace

flagos_status_t flagos_kernel_get_occupancy(flagos_kernel_t* kernel, uint32_t block_threads, uint32_t shared_bytes,
                                            uint32_t* out_blocks) {
  clear_out(out_blocks);
  return entry(__func__, [&] {
    Kernel& object = resolve<Kernel>(kernel, "kernel");
    require(out_blocks, "out_blocks");
    check_block_threads(object, block_threads, shared_bytes);
    *out_blocks = occupancy_of(object, block_threads, shared_bytes);
  });
}

flagos_status_t flagos_kernel_suggest_block(flagos_kernel_t* kernel, uint32_t shared_bytes,
                                            uint32_t* out_block_threads) {
  clear_out(out_block_threads);
  return entry(__func__, [&] {
    Kernel& object = resolve<Kernel>(kernel, "kernel");
    require(out_block_threads, "out_block_threads");
    check_block_threads(object, 1, shared_bytes);
    std::uint32_t threads = std::min<std::uint32_t>(object.info().max_block_threads, 256);
    if (object.record() == nullptr && object.tables().has.suggest_block)
      expect(object.tables().kernel.suggest_block(object.native(), shared_bytes, &threads), "kernel.suggest_block");
    *out_block_threads = threads;
  });
}

flagos_status_t flagos_kernel_prepare(flagos_kernel_t* kernel, const flagos_launch_desc_t* desc,
                                      flagos_prepared_t** out_prepared) {
  clear_out(out_prepared);
  return entry(__func__, [&] {
    Kernel& object = resolve<Kernel>(kernel, "kernel");
    require(desc, "desc");
    require(out_prepared, "out_prepared");
    object.device().throw_if_lost();
    *out_prepared = publish<flagos_prepared_t>(Ref<Prepared>::adopt(new Prepared(object, make_launch(object, *desc))));
  });
}

flagos_status_t flagos_kernel_launch_prepared(flagos_stream_t* stream, flagos_prepared_t* prepared) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& target = resolve<Stream>(stream, "stream");
    Prepared& object = resolve<Prepared>(prepared, "prepared");
    if (&target.device() != &object.device()) [[unlikely]]
      check_same_device(target.device(), object.device(), "the prepared launch");
    if (object.empty()) [[unlikely]]
      return FLAGOS_STATUS_OK;
    const LaunchCommand& launch = object.launch();
    return target.submit(
        [&] {
          if (object.native() != nullptr)
            return target.tables().kernel.launch_prepared(target.native(), object.native());
          return target.tables().kernel.launch(target.native(), launch.kernel->native(), &launch.desc);
        },
        [&] { return LaunchPreparedCommand{Ref<Prepared>(&object)}; }, "kernel.launch_prepared");
  });
}

flagos_status_t flagos_prepared_destroy(flagos_prepared_t* prepared) {
  if (prepared == nullptr) return entry(__func__, [] {});
  return entry(__func__, [&] { destroy_child(resolve<Prepared>(prepared, "prepared launch")); });
}
