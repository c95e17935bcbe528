// Ways to make communicators.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "comm/bootstrap/rendezvous.hpp"
#include "comm/communicator.hpp"

namespace flagos::comm {

// With the defaults filled in; throws what the caller got wrong.
Config read_config(const flagos_comm_config_t* config);
// FLAGOS_COMM_INTERFACE; "" where it is not set.
std::string configured_interface();

// All ranks in this process.
std::vector<std::shared_ptr<Communicator>> create_all(std::span<flagos_device_t* const> devices,
                                                      const Config& config);

// One rank; the others join through the invitation.
std::shared_ptr<Communicator> create(flagos_device_t* device, const Invitation& invitation,
                                     std::uint32_t rank, std::uint32_t size, const Config& config);

// The communicator of those that give the same color; nothing for none.
std::shared_ptr<Communicator> split(Communicator& parent, std::int32_t color, std::int32_t key,
                                    const Config& config);

// The communicator of those that are left.
std::shared_ptr<Communicator> shrink(Communicator& parent, std::span<const std::uint32_t> excluded,
                                     const Config& config);

}  // namespace flagos::comm
