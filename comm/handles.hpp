// Handles of communicators: values, not addresses. A stale or random one finds nothing.
#pragma once

#include <memory>

#include "comm/communicator.hpp"

namespace flagos::comm {

flagos_comm_t* make_handle(std::shared_ptr<Communicator> communicator);
// Throws INVALID_HANDLE.
std::shared_ptr<Communicator> resolve(const flagos_comm_t* handle);
// The handle is nobody's afterwards.
std::shared_ptr<Communicator> take_handle(const flagos_comm_t* handle);

}  // namespace flagos::comm
