// What all ranks must know of each other, outside of streams.
#pragma once

#include <vector>

#include "comm/communicator.hpp"

namespace flagos::comm {

// Every rank's `mine`, in the order of the ranks.
template <typename T>
std::vector<T> gather_from_all(Communicator& communicator, const T& mine) {
  std::vector<T> all(communicator.size());
  Request request;
  request.kind = Kind::all_gather;
  request.source = reinterpret_cast<std::uintptr_t>(&mine);
  request.target = reinterpret_cast<std::uintptr_t>(all.data());
  request.count = sizeof(T);
  request.dtype = FLAGOS_DTYPE_UINT8;
  communicator.run_now(request);
  return all;
}

}  // namespace flagos::comm
