// What a device needs to reduce by itself: kernels, made when they are first wanted, and what reductions cost there and by
// way of the host. One for each open device, kept with it for all communicators.
#pragma once

#include <flagos_comm.h>

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "comm/reduction_kernels.hpp"

namespace flagos::comm {

// Who reduces memory that the host does not reach.
enum class Reducer : std::uint8_t {
  automatic,  // whoever is faster, by what was measured
  host,
  device,  // wherever there is a kernel
};
// FLAGOS_COMM_REDUCE: automatic, host or device. Throws for anything else.
Reducer configured_reducer();

class DeviceReduction {
 public:
  // A time that grows with the bytes.
  struct Cost {
    double start_s = 0, byte_s = 0;
    double of(std::uint64_t bytes) const { return start_s + static_cast<double>(bytes) * byte_s; }
  };
  struct Kernel {
    flagos_kernel_t* kernel = nullptr;
    Scalar scalar = Scalar::i64;
    Cost device;             // the kernel alone, for bytes of the result
    double host_byte_s = 0;  // reduce() on the host
  };

  // nullptr where the device takes no portable kernels. `slot` is so many bytes of the host that copies will go over.
  static DeviceReduction* of(flagos_device_t* device, std::byte* slot, std::uint64_t slot_bytes);

  DeviceReduction(flagos_device_t* device, std::byte* slot, std::uint64_t slot_bytes);
  ~DeviceReduction();
  DeviceReduction(const DeviceReduction&) = delete;
  DeviceReduction& operator=(const DeviceReduction&) = delete;

  // The kernel that reduces so much where that is wanted, else nullptr: the host does it. All sources but the device's own
  // are with the host. May make a kernel, which takes its time; it is made once.
  const Kernel* choose(const Reduction& reduction, std::uint32_t sources, std::uint64_t bytes,
                       Reducer wanted);
  // A piece of them, with all copies.
  double device_s(const Kernel& kernel, std::uint32_t sources, std::uint64_t bytes) const;
  double host_s(const Kernel& kernel, std::uint64_t bytes) const;
  std::size_t kernels();

 private:
  using Key = std::tuple<flagos_dtype_t, std::uint8_t, bool, std::uint32_t>;

  const Kernel* find(const Reduction& reduction, std::uint32_t sources);
  std::unique_ptr<Kernel> make(const Reduction& reduction, std::uint32_t sources);
  flagos_kernel_t* load(const Reduction& reduction, std::uint32_t sources);

  flagos_device_t* const device_;
  const std::uint64_t slot_bytes_;
  flagos_stream_t* stream_ = nullptr;
  Cost to_device_, to_host_;
  std::mutex mutex_;
  std::map<Key, std::unique_ptr<Kernel>> kernels_;  // nullptr: the device does not have it
  std::vector<flagos_module_t*> modules_;
};

// The arguments of one launch, and the launch.
class ReductionLaunch {
 public:
  ReductionLaunch(const DeviceReduction::Kernel& kernel, flagos_address_t target)
      : kernel_(kernel) {
    put(target);
  }
  void add_source(flagos_address_t address) { put(address); }
  // `scales` is one for each source.
  void finish(const Reduction& reduction, std::uint32_t sources, std::uint64_t bytes,
              const double* scales, std::uint32_t divisor);
  void run(flagos_stream_t* stream) const;

 private:
  template <typename T>
  void put(T value);
  void put_scalar(double value);

  const DeviceReduction::Kernel& kernel_;
  std::uint32_t programs_ = 0;
  alignas(16) std::array<std::byte, 192> block_;
  std::size_t size_ = 0;
};

}  // namespace flagos::comm
