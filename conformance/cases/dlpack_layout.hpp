// The structs of DLPack (https://dmlc.github.io/dlpack), laid out here anew: what a consumer sees.
#pragma once

#include <cstdint>

namespace flagos::conformance {

struct DlDevice {
  std::int32_t type;
  std::int32_t id;
};
struct DlDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  std::int32_t rank;
  DlDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
// Major 0: before DLPack 1.0.
struct DlManaged {
  DlTensor tensor;
  void* manager;
  void (*deleter)(DlManaged* self);
};
// Major 1.
struct DlVersioned {
  std::uint32_t major, minor;
  void* manager;
  void (*deleter)(DlVersioned* self);
  std::uint64_t flags;
  DlTensor tensor;
};
inline constexpr std::uint64_t dl_flag_read_only = 1;

}  // namespace flagos::conformance
