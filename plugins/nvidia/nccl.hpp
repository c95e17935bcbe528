// NCCL, which reduces and exchanges between cards: opened at run time, where it is there. What we use of its interface is
// declared here, by the vendor's own names.
#pragma once

#include <climits>
#include <string>
#include <type_traits>

#include "base/dynamic_library.hpp"
#include "base/plugin_host.hpp"
#include "plugins/nvidia/cuda.hpp"

namespace flagos::nvidia {

struct Driver;

using ncclResult_t = int;
enum : ncclResult_t {
  ncclSuccess = 0,
  ncclUnhandledCudaError = 1,
  ncclSystemError = 2,
  ncclInternalError = 3,
  ncclInvalidArgument = 4,
  ncclInvalidUsage = 5,
  ncclRemoteError = 6,
  ncclInProgress = 7
};
using ncclDataType_t = int;
enum : ncclDataType_t {
  ncclInt8 = 0,
  ncclUint8 = 1,
  ncclInt32 = 2,
  ncclUint32 = 3,
  ncclInt64 = 4,
  ncclUint64 = 5,
  ncclFloat16 = 6,
  ncclFloat32 = 7,
  ncclFloat64 = 8,
  ncclBfloat16 = 9
};
using ncclRedOp_t = int;
enum : ncclRedOp_t { ncclSum = 0, ncclProd = 1, ncclMax = 2, ncclMin = 3, ncclAvg = 4 };
enum : int { ncclScalarHostImmediate = 1 };
enum : int { NCCL_SPLIT_NOCOLOR = -1 };
using ncclComm_t = struct ncclComm*;
struct ncclUniqueId {
  char internal[128];
};
// As it was in 2.14: newer ones take shorter structs.
struct ncclConfig_t {
  std::size_t size = sizeof(ncclConfig_t);
  unsigned magic = 0xcafebeef;
  unsigned version = 21400;
  int blocking = INT_MIN;
};
static_assert(sizeof(ncclConfig_t) == 24);

class Nccl {
 public:
  // What is there: FLAGOS_NVIDIA_NCCL, or what the dynamic linker finds. NULL, with a sentence in `out_reason`, where there is
  // none, or an older one than is needed. Throws NOT_FOUND when the variable names it.
  static const Nccl* find(const Host& host, const Driver& driver, std::string* out_reason);

  // "ncclRemoteError (6): what it last said".
  std::string text_of(ncclResult_t result, ncclComm_t communicator) const;
  std::string version_text() const;

#define SYMBOL(name, ...) std::add_pointer_t<__VA_ARGS__> name = nullptr;
#define OPTIONAL(name, ...) SYMBOL(name, __VA_ARGS__)
#include "plugins/nvidia/nccl_symbols.inc"
#undef OPTIONAL
#undef SYMBOL

 private:
  explicit Nccl(const std::string& path);
  DynamicLibrary library_;
  int version_ = 0;
};

}  // namespace flagos::nvidia
