// How kernels of operators are started, and what all of them have in common.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "ops/call.hpp"

namespace flagos::ops {

// The type in which a number comes to a kernel that computes in `computed`: float32, float64 or int64.
inline tile::DType number_dtype(tile::DType computed) {
  return computed < tile::DType::f16    ? tile::DType::i64
         : computed == tile::DType::f64 ? tile::DType::f64
                                        : tile::DType::f32;
}

// The arguments of a launch in the order of the kernel's parameters.
class Launch {
 public:
  Launch(const Call& call, flagos_kernel_t* kernel) : call_(call), kernel_(kernel) {}

  Launch& pointer(flagos_address_t address) { return put(address); }
  Launch& integer(std::int64_t value) { return put(value); }
  Launch& integer32(std::int32_t value) { return put(value); }
  Launch& real32(float value) { return put(value); }
  Launch& real64(double value) { return put(value); }
  // A number for a kernel that computes in `computed`.
  Launch& number(tile::DType computed, double real, std::int64_t integer) {
    const tile::DType dtype = number_dtype(computed);
    if (dtype == tile::DType::i64) return put(integer);
    return dtype == tile::DType::f64 ? put(real) : put(static_cast<float>(real));
  }
  // Changes one of the pointers that the arguments begin with.
  void set_pointer(std::size_t index, flagos_address_t address) {
    std::memcpy(block_.data() + index * sizeof(address), &address, sizeof(address));
  }

  // Queues programs for `blocks` blocks of work, as many as keep the device busy; see for_each_block.
  void run(std::int64_t blocks) {
    run_grid(static_cast<std::uint32_t>(std::min<std::int64_t>(blocks, call_.device().programs())));
  }
  // Queues this many programs.
  void run_grid(std::uint32_t x, std::uint32_t y = 1, std::uint32_t z = 1) {
    flagos_launch_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.grid[0] = x;
    desc.grid[1] = y;
    desc.grid[2] = z;
    desc.block[0] = desc.block[1] = desc.block[2] = 1;
    desc.argument_block = block_.data();
    desc.argument_bytes = size_;
    expect(flagos_kernel_launch(call_.stream(), kernel_, &desc));
  }

 private:
  template <typename T>
  Launch& put(T value) {
    const std::size_t at = (size_ + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    if (at + sizeof(T) > block_.size())
      throw_error(FLAGOS_STATUS_INTERNAL, "a kernel with too many arguments");
    std::memcpy(block_.data() + at, &value, sizeof(T));
    size_ = at + sizeof(T);
    return *this;
  }

  const Call& call_;
  flagos_kernel_t* kernel_;
  alignas(16) std::array<unsigned char, 2048> block_;
  std::size_t size_ = 0;
};

// In a kernel: `body` for each of `blocks` blocks of work; those of one program lie together.
template <typename F>
void for_each_block(tile::Kernel& k, const tile::Tile& blocks, F body) {
  const auto i64 = tile::DType::i64;
  const tile::Tile programs = cast(k.num_programs(0), i64);
  const tile::Tile each = (blocks + (programs - 1)) / programs;
  const tile::Tile first = cast(k.program_id(0), i64) * each;
  k.loop(first, min(first + each, blocks), k.constant(i64, 1),
         [&](const tile::Tile& block) { body(block); });
}

}  // namespace flagos::ops
