#include "comm/device_reduction.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string_view>

#include "base/error.hpp"
#include "base/guard.hpp"
#include "comm/clock.hpp"
#include "comm/staging.hpp"

namespace flagos::comm {
namespace {

const char attachment_key = 0;

// Below so much no device saves by not copying what a launch costs; nor is it worth making a kernel.
constexpr std::uint64_t least_bytes = 64 << 10;
constexpr std::uint64_t small_bytes = 4 << 10;
constexpr int probe_repeats = 3;

template <typename F>
double shortest(F&& run) {
  double least = std::numeric_limits<double>::max();
  for (int i = 0; i < probe_repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    least = std::min(
        least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

template <typename F>
DeviceReduction::Cost measured(std::uint64_t large_bytes, F&& run) {
  DeviceReduction::Cost cost;
  const double small_s = shortest([&] { run(small_bytes); });
  const double large_s = shortest([&] { run(large_bytes); });
  cost.byte_s = std::max(0.0, large_s - small_s) / static_cast<double>(large_bytes - small_bytes);
  cost.start_s = std::max(0.0, small_s - static_cast<double>(small_bytes) * cost.byte_s);
  return cost;
}

// Memory of the device while something is measured or tried.
class DeviceMemory {
 public:
  DeviceMemory(flagos_device_t* device, std::uint64_t bytes) : device_(device) {
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = bytes;
    expect(flagos_memory_alloc(device, &desc, &address_));
  }
  ~DeviceMemory() { flagos_memory_free(device_, address_); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  flagos_address_t address() const { return address_; }

 private:
  flagos_device_t* const device_;
  flagos_address_t address_ = 0;
};

template <typename Real>
bool same_numbers(const std::byte* a, const std::byte* b, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    Real x, y;
    std::memcpy(&x, a + i * sizeof(Real), sizeof(Real));
    std::memcpy(&y, b + i * sizeof(Real), sizeof(Real));
    if (std::memcmp(&x, &y, sizeof(Real)) != 0 && !(std::isnan(x) && std::isnan(y))) return false;
  }
  return true;
}

// To the bit, but any NaN is as good as another: processors do not agree which one a sum of two is either.
bool same_results(flagos_dtype_t dtype, const std::byte* a, const std::byte* b,
                  std::uint64_t bytes) {
  if (dtype == FLAGOS_DTYPE_FLOAT64) return same_numbers<double>(a, b, bytes / 8);
  if (dtype == FLAGOS_DTYPE_FLOAT32 || dtype == FLAGOS_DTYPE_COMPLEX64)
    return same_numbers<float>(a, b, bytes / 4);
  if (!is_narrow(dtype)) return std::memcmp(a, b, bytes) == 0;
  const std::uint32_t infinity = dtype == FLAGOS_DTYPE_FLOAT16 ? 0x7c00U : 0x7f80U;
  for (std::uint64_t i = 0; i < bytes / 2; ++i) {
    std::uint16_t x = 0, y = 0;
    std::memcpy(&x, a + 2 * i, 2);
    std::memcpy(&y, b + 2 * i, 2);
    if (x != y && ((x & 0x7fffU) <= infinity || (y & 0x7fffU) <= infinity)) return false;
  }
  return true;
}

// Any bits, of which a quarter are small changes of the number before, so that sums cancel, and another are of exponents
// near that of 1: subnormal numbers, infinities and NaN are among them.
void fill(std::vector<std::byte>& bytes, std::uint32_t width, std::uint32_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i + width <= bytes.size(); i += width) {
    std::uint64_t bits = random();
    if (bits % 4 == 0) bits = (bits >> 32) & 0x807fU;  // small, either sign
    if (bits % 4 == 1 && width >= 4) {
      const double near_one = std::ldexp(static_cast<double>(bits >> 11), -52);
      const auto as_float = static_cast<float>(bits % 8 < 4 ? -near_one : near_one);
      if (width == 4) {
        std::memcpy(&bits, &as_float, 4);
      } else {
        std::memcpy(&bits, &near_one, 8);
      }
    }
    std::memcpy(&bytes[i], &bits, width);
  }
}

}  // namespace

Reducer configured_reducer() {
  const char* const value = secure_getenv("FLAGOS_COMM_REDUCE");
  if (value == nullptr) return Reducer::automatic;
  const std::string_view name = value;
  if (name == "automatic") return Reducer::automatic;
  if (name == "host") return Reducer::host;
  if (name == "device") return Reducer::device;
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT,
              "FLAGOS_COMM_REDUCE is '{}'; there are automatic, host and device", name);
}

// ---- life --------------------------------------------------------------------------------------------------------

DeviceReduction* DeviceReduction::of(flagos_device_t* device, std::byte* slot,
                                     std::uint64_t slot_bytes) {
  void* kept = nullptr;
  expect(flagos_device_get_attachment(device, &attachment_key, &kept));
  if (kept != nullptr) return static_cast<DeviceReduction*>(kept);
  flagos_schedule_class_t schedule = FLAGOS_SCHEDULE_CLASS_SIMT;
  if (!find_tile_format(device, schedule)) return nullptr;
  auto made = std::make_unique<DeviceReduction>(device, slot, slot_bytes);
  const auto release = [](flagos_device_t*, void* attachment) {
    delete static_cast<DeviceReduction*>(attachment);
  };
  expect(flagos_device_attach(device, &attachment_key, made.get(), release, &kept));
  if (kept == made.get()) static_cast<void>(made.release());
  return static_cast<DeviceReduction*>(kept);
}

DeviceReduction::DeviceReduction(flagos_device_t* device, std::byte* slot, std::uint64_t slot_bytes)
    : device_(device), slot_bytes_(slot_bytes) {
  expect(flagos_stream_create(device_, nullptr, &stream_));
  const DeviceMemory memory(device_, slot_bytes_);
  const auto there = memory.address();
  const auto here = reinterpret_cast<std::uintptr_t>(slot);
  const auto copied = [&](flagos_address_t target, flagos_address_t source) {
    return measured(slot_bytes_, [&, target, source](std::uint64_t bytes) {
      expect(flagos_memory_copy(stream_, target, source, bytes));
      expect(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE));
    });
  };
  to_device_ = copied(there, here);
  to_host_ = copied(here, there);
}

DeviceReduction::~DeviceReduction() {
  for (flagos_module_t* const module : modules_) flagos_module_unload(module);
  flagos_stream_destroy(stream_);
}

// ---- the choice --------------------------------------------------------------------------------------------------

// By way of the host our own part is copied there and the result back; on the device the others' parts are copied to it.
const DeviceReduction::Kernel* DeviceReduction::choose(const Reduction& reduction,
                                                       std::uint32_t sources, std::uint64_t bytes,
                                                       Reducer wanted) {
  if (wanted == Reducer::host || bytes == 0 || !has_kernel(reduction, sources)) return nullptr;
  if (wanted == Reducer::device) return find(reduction, sources);
  // No arithmetic of the host makes up for three times the copies: such a kernel need not be made.
  const std::uint64_t piece = std::min(bytes, slot_bytes_);
  if (bytes < least_bytes ||
      (sources - 1) * to_device_.of(piece) > 3 * (to_host_.of(piece) + to_device_.of(piece)))
    return nullptr;
  const Kernel* const kernel = find(reduction, sources);
  return kernel != nullptr && device_s(*kernel, sources, bytes) < host_s(*kernel, bytes) ? kernel
                                                                                         : nullptr;
}

double DeviceReduction::device_s(const Kernel& kernel, std::uint32_t sources,
                                 std::uint64_t bytes) const {
  const std::uint64_t piece = std::min(bytes, slot_bytes_);
  return (sources - 1) * to_device_.of(piece) + kernel.device.of(piece);
}

double DeviceReduction::host_s(const Kernel& kernel, std::uint64_t bytes) const {
  const std::uint64_t piece = std::min(bytes, slot_bytes_);
  return to_host_.of(piece) + static_cast<double>(piece) * kernel.host_byte_s +
         to_device_.of(piece);
}

std::size_t DeviceReduction::kernels() {
  std::lock_guard lock(mutex_);
  return kernels_.size();
}

const DeviceReduction::Kernel* DeviceReduction::find(const Reduction& reduction,
                                                     std::uint32_t sources) {
  std::lock_guard lock(mutex_);
  const Key key{reduction.dtype, reduction.kind, reduction.deterministic, sources};
  const auto found = kernels_.find(key);
  if (found != kernels_.end()) return found->second.get();
  std::unique_ptr<Kernel> made;
  static_cast<void>(guard([&] { made = make(reduction, sources); },
                          [&](flagos_status_t, const char* text) {
                            if (!wants_plans()) return;
                            std::fprintf(stderr, "flagos comm: %s of %s by the host: %s\n",
                                         reduction_name(reduction.kind),
                                         dtype_name(reduction.dtype), text);
                          }));
  return kernels_.emplace(key, std::move(made)).first->second.get();
}

flagos_kernel_t* DeviceReduction::load(const Reduction& reduction, std::uint32_t sources) {
  modules_.push_back(load_tile_module(device_, kernel_text(reduction, sources)));
  return first_kernel(modules_.back());
}

// Tries the kernel beside the host on numbers of all kinds: one that does not give the same bits, on a device that flushes
// subnormal numbers for instance, is not used, since ranks on other devices would have other results.
std::unique_ptr<DeviceReduction::Kernel> DeviceReduction::make(const Reduction& reduction,
                                                               std::uint32_t sources) {
  auto made = std::make_unique<Kernel>();
  made->kernel = load(reduction, sources);
  made->scalar = scalar_of(reduction);
  const std::uint64_t bytes = slot_bytes_;
  const DeviceMemory memory(device_, (sources + 1) * bytes);
  std::vector<std::vector<std::byte>> inputs(sources, std::vector<std::byte>(bytes));
  std::vector<const void*> pointers;
  std::vector<double> scales;
  for (std::uint32_t i = 0; i < sources; ++i) {
    fill(inputs[i], std::min(dtype_bytes(reduction.dtype) / numbers_in(reduction), 8U), i + 1);
    pointers.push_back(inputs[i].data());
    scales.push_back(1.1 + i);
    expect(flagos_memory_copy(stream_, memory.address() + (i + 1) * bytes,
                              reinterpret_cast<std::uintptr_t>(inputs[i].data()), bytes));
  }
  std::vector<std::byte> expected(bytes), found(bytes);
  made->host_byte_s = shortest([&] {
                        reduce(reduction, sources, pointers.data(), scales.data(), 3,
                               expected.data(), bytes / dtype_bytes(reduction.dtype));
                      }) /
                      static_cast<double>(bytes);
  made->device = measured(bytes, [&](std::uint64_t part) {
    ReductionLaunch launch(*made, memory.address());
    for (std::uint32_t i = 0; i < sources; ++i)
      launch.add_source(memory.address() + (i + 1) * bytes);
    launch.finish(reduction, sources, part, scales.data(), 3);
    launch.run(stream_);
    expect(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE));
  });
  expect(flagos_memory_copy(stream_, reinterpret_cast<std::uintptr_t>(found.data()),
                            memory.address(), bytes));
  expect(flagos_stream_synchronize(stream_, FLAGOS_TIMEOUT_INFINITE));
  if (!same_results(reduction.dtype, expected.data(), found.data(), bytes))
    throw_error(FLAGOS_STATUS_UNSUPPORTED, "the device's kernel does not give the host's bits");
  return made;
}

// ---- launches ----------------------------------------------------------------------------------------------------

template <typename T>
void ReductionLaunch::put(T value) {
  size_ = (size_ + sizeof(T) - 1) / sizeof(T) * sizeof(T);
  std::memcpy(block_.data() + size_, &value, sizeof(T));
  size_ += sizeof(T);
}

void ReductionLaunch::put_scalar(double value) {
  switch (kernel_.scalar) {
    case Scalar::i64:
      return put(static_cast<std::int64_t>(value));
    case Scalar::f32:
      return put(static_cast<float>(value));
    case Scalar::f64:
      return put(value);
  }
}

void ReductionLaunch::finish(const Reduction& reduction, std::uint32_t sources, std::uint64_t bytes,
                             const double* scales, std::uint32_t divisor) {
  const auto count =
      static_cast<std::uint32_t>(bytes / dtype_bytes(reduction.dtype) * numbers_in(reduction));
  put(static_cast<std::int32_t>(count));
  programs_ = (count + kernel_block - 1) / kernel_block;
  if (reduction.kind == FLAGOS_COMM_REDUCTION_AVERAGE) put_scalar(divisor);
  for (std::uint32_t i = 0; i < sources && reduction.kind == premultiplied_sum; ++i)
    put_scalar(scales[i]);
  while (size_ % sizeof(flagos_address_t) != 0)
    block_[size_++] = {};  // as long as a struct of all of them
}

void ReductionLaunch::run(flagos_stream_t* stream) const {
  flagos_launch_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.grid[0] = programs_;
  desc.grid[1] = desc.grid[2] = 1;
  desc.block[0] = desc.block[1] = desc.block[2] = 1;
  desc.argument_block = block_.data();
  desc.argument_bytes = size_;
  expect(flagos_kernel_launch(stream, kernel_.kernel, &desc));
}

}  // namespace flagos::comm
