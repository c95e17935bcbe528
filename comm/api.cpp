// The exported functions: arguments become requests.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/library_entry.hpp"
#include "comm/bootstrap/environment.hpp"
#include "comm/create.hpp"
#include "comm/group.hpp"
#include "comm/handles.hpp"

using namespace flagos;
using namespace flagos::comm;

namespace {

std::vector<std::uint64_t> array(const std::uint64_t* values, std::uint32_t size,
                                 const char* name) {
  require(values, name);
  return {values, values + size};
}
std::vector<std::uint64_t> optional_array(const std::uint64_t* values, std::uint32_t size) {
  return values == nullptr ? std::vector<std::uint64_t>()
                           : std::vector<std::uint64_t>(values, values + size);
}

// Runs at once, or with the group. `prepare` fills in what depends on the communicator.
template <typename Prepare>
flagos_status_t operation(flagos_comm_t* comm, flagos_stream_t* stream, Kind kind,
                          Prepare&& prepare) noexcept {
  Group& group = Group::get();
  return guard(
      [&] {
        const std::shared_ptr<Communicator> communicator = resolve(comm);
        thread_local Request request;
        request.clear();
        request.kind = kind;
        request.stream = stream;
        prepare(request, *communicator);
        communicator->complete_and_check(request);
        if (group.is_open()) {
          group.add(communicator, request);
        } else {
          communicator->submit(request);
        }
      },
      [&](flagos_status_t status, const char* text) {
        flagos_set_last_error(text);
        if (group.is_open()) group.fail(status, text);
      });
}

flagos_status_t simple(flagos_comm_t* comm, flagos_stream_t* stream, Kind kind,
                       flagos_address_t source, flagos_address_t target, std::uint64_t count,
                       flagos_dtype_t dtype, flagos_comm_reduction_t reduction = 0,
                       std::uint32_t root = 0) noexcept {
  return operation(comm, stream, kind, [&](Request& request, Communicator&) {
    request.source = source;
    request.target = target;
    request.count = count;
    request.dtype = dtype;
    request.reduction = reduction;
    request.root = root;
  });
}

flagos_status_t one_sided(flagos_comm_t* comm, flagos_stream_t* stream, Kind kind,
                          std::uint32_t peer, flagos_comm_window_t window, std::uint64_t offset,
                          flagos_address_t address, std::uint64_t count) noexcept {
  return operation(comm, stream, kind, [&](Request& request, Communicator&) {
    (kind == Kind::put ? request.source : request.target) = address;
    request.count = count;
    request.dtype = FLAGOS_DTYPE_UINT8;
    request.root = peer;
    request.window = window;
    request.offset = offset;
  });
}

flagos_status_t message(flagos_comm_t* comm, flagos_stream_t* stream, bool is_send,
                        flagos_address_t address, std::uint64_t count, flagos_dtype_t dtype,
                        std::uint32_t peer) noexcept {
  return operation(comm, stream, Kind::exchange, [&](Request& request, Communicator& communicator) {
    if (peer == communicator.rank() && !Group::get().is_open())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "rank {} talks to itself outside of a group",
                  peer);
    request.messages.push_back({is_send, peer, address, count, dtype, {}});
  });
}

}  // namespace

flagos_status_t flagos_comm_create_from_environment(flagos_device_t* device,
                                                    const flagos_comm_config_t* config,
                                                    flagos_comm_t** out_comm) {
  return entry([&] {
    require(out_comm, "out_comm") = nullptr;
    const Config read = read_config(config);
    const RankPlace place = place_from_environment();
    const Invitation invitation =
        invitation_from_environment(place, configured_interface(), read.timeout_ns);
    *out_comm = make_handle(create(device, invitation, place.rank, place.size, read));
  });
}

flagos_status_t flagos_comm_create_all(uint32_t size, flagos_device_t* const* devices,
                                       const flagos_comm_config_t* config,
                                       flagos_comm_t** out_comms) {
  return entry([&] {
    require(out_comms, "out_comms");
    for (std::uint32_t i = 0; i < size; ++i) out_comms[i] = nullptr;
    require(devices, "devices");
    if (size == 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "a communicator has at least 1 rank");
    const auto made = create_all({devices, size}, read_config(config));
    for (std::uint32_t i = 0; i < size; ++i) out_comms[i] = make_handle(made[i]);
  });
}

flagos_status_t flagos_comm_unique_id_create(flagos_comm_unique_id_t* out_id) {
  return entry([&] {
    require(out_id, "out_id") = flagos_comm_unique_id_t{};
    *out_id = Rendezvous::open(configured_interface(), read_config(nullptr).timeout_ns).write();
  });
}

flagos_status_t flagos_comm_create(flagos_device_t* device, const flagos_comm_unique_id_t* id,
                                   uint32_t rank, uint32_t size, const flagos_comm_config_t* config,
                                   flagos_comm_t** out_comm) {
  return entry([&] {
    require(out_comm, "out_comm") = nullptr;
    *out_comm = make_handle(
        create(device, Invitation::read(require(id, "id")), rank, size, read_config(config)));
  });
}

flagos_status_t flagos_comm_split(flagos_comm_t* comm, int32_t color, int32_t key,
                                  const flagos_comm_config_t* config, flagos_comm_t** out_comm) {
  return entry([&] {
    require(out_comm, "out_comm") = nullptr;
    const std::shared_ptr<Communicator> parent = resolve(comm);
    if (color < FLAGOS_COMM_COLOR_NONE)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "color {} is below -1", color);
    if (auto made =
            split(*parent, color, key, config == nullptr ? parent->config() : read_config(config)))
      *out_comm = make_handle(std::move(made));
  });
}

flagos_status_t flagos_comm_shrink(flagos_comm_t* comm, const uint32_t* excluded,
                                   uint32_t excluded_count, const flagos_comm_config_t* config,
                                   flagos_comm_t** out_comm) {
  return entry([&] {
    require(out_comm, "out_comm") = nullptr;
    const std::shared_ptr<Communicator> parent = resolve(comm);
    if (excluded_count != 0) require(excluded, "excluded");
    *out_comm = make_handle(shrink(*parent, {excluded, excluded_count},
                                   config == nullptr ? parent->config() : read_config(config)));
  });
}

flagos_status_t flagos_comm_destroy(flagos_comm_t* comm) {
  return entry([&] {
    if (comm == nullptr) return;
    const std::shared_ptr<Communicator> communicator = take_handle(comm);
    communicator->finish();
  });
}

flagos_status_t flagos_comm_synchronize(flagos_comm_t* comm, uint64_t timeout_ns) {
  return entry([&] { return resolve(comm)->synchronize(timeout_ns); });
}

flagos_status_t flagos_comm_abort(flagos_comm_t* comm) {
  return entry([&] { resolve(comm)->abort(); });
}

flagos_status_t flagos_comm_query_status(flagos_comm_t* comm, flagos_status_t* out_status) {
  return entry([&] {
    require(out_status, "out_status") = FLAGOS_STATUS_OK;
    std::string text;
    *out_status = resolve(comm)->status(text);
    if (FLAGOS_STATUS_CLASS(*out_status) != FLAGOS_STATUS_CLASS_ANSWER)
      flagos_set_last_error(text.c_str());
  });
}

flagos_status_t flagos_comm_get_info(flagos_comm_t* comm, flagos_comm_info_t* out_info) {
  return entry([&] {
    // Programs may be older than what came behind the name of the algorithm.
    constexpr std::size_t least = offsetof(flagos_comm_info_t, device_reductions);
    const std::uint32_t size = require(out_info, "out_info").struct_size;
    if (size < least)
      throw_error(FLAGOS_STATUS_INVALID_STRUCT_SIZE,
                  "flagos_comm_info_t: struct_size is {}, at least {} is needed", size, least);
    flagos_comm_info_t info{};
    info.struct_size = size;
    resolve(comm)->fill_info(info);
    std::memcpy(out_info, &info, std::min<std::size_t>(size, sizeof(info)));
  });
}

flagos_status_t flagos_comm_reduction_create(flagos_comm_t* comm, double scale,
                                             flagos_comm_reduction_t* out_reduction) {
  return entry([&] {
    require(out_reduction, "out_reduction") = 0;
    *out_reduction = resolve(comm)->create_reduction(scale);
  });
}

flagos_status_t flagos_comm_reduction_destroy(flagos_comm_t* comm,
                                              flagos_comm_reduction_t reduction) {
  return entry([&] { resolve(comm)->destroy_reduction(reduction); });
}

flagos_status_t flagos_comm_all_reduce(flagos_comm_t* comm, flagos_stream_t* stream,
                                       flagos_address_t source, flagos_address_t target,
                                       uint64_t count, flagos_dtype_t dtype,
                                       flagos_comm_reduction_t reduction) {
  return simple(comm, stream, Kind::all_reduce, source, target, count, dtype, reduction);
}

flagos_status_t flagos_comm_reduce(flagos_comm_t* comm, flagos_stream_t* stream,
                                   flagos_address_t source, flagos_address_t target, uint64_t count,
                                   flagos_dtype_t dtype, flagos_comm_reduction_t reduction,
                                   uint32_t root) {
  return simple(comm, stream, Kind::reduce, source, target, count, dtype, reduction, root);
}

flagos_status_t flagos_comm_reduce_scatter(flagos_comm_t* comm, flagos_stream_t* stream,
                                           flagos_address_t source, flagos_address_t target,
                                           uint64_t count, flagos_dtype_t dtype,
                                           flagos_comm_reduction_t reduction) {
  return simple(comm, stream, Kind::reduce_scatter, source, target, count, dtype, reduction);
}

flagos_status_t flagos_comm_reduce_scatter_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                             flagos_address_t source, flagos_address_t target,
                                             const uint64_t* counts, flagos_dtype_t dtype,
                                             flagos_comm_reduction_t reduction) {
  return operation(comm, stream, Kind::reduce_scatter,
                   [&](Request& request, Communicator& communicator) {
                     request.source = source;
                     request.target = target;
                     request.dtype = dtype;
                     request.reduction = reduction;
                     request.has_counts = true;
                     request.source_counts = array(counts, communicator.size(), "counts");
                   });
}

flagos_status_t flagos_comm_scan(flagos_comm_t* comm, flagos_stream_t* stream,
                                 flagos_address_t source, flagos_address_t target, uint64_t count,
                                 flagos_dtype_t dtype, flagos_comm_reduction_t reduction) {
  return simple(comm, stream, Kind::scan, source, target, count, dtype, reduction);
}

flagos_status_t flagos_comm_exclusive_scan(flagos_comm_t* comm, flagos_stream_t* stream,
                                           flagos_address_t source, flagos_address_t target,
                                           uint64_t count, flagos_dtype_t dtype,
                                           flagos_comm_reduction_t reduction) {
  return simple(comm, stream, Kind::exclusive_scan, source, target, count, dtype, reduction);
}

flagos_status_t flagos_comm_broadcast(flagos_comm_t* comm, flagos_stream_t* stream,
                                      flagos_address_t buffer, uint64_t count, flagos_dtype_t dtype,
                                      uint32_t root) {
  return simple(comm, stream, Kind::broadcast, buffer, buffer, count, dtype, 0, root);
}

flagos_status_t flagos_comm_all_gather(flagos_comm_t* comm, flagos_stream_t* stream,
                                       flagos_address_t source, flagos_address_t target,
                                       uint64_t count, flagos_dtype_t dtype) {
  return simple(comm, stream, Kind::all_gather, source, target, count, dtype);
}

flagos_status_t flagos_comm_gather(flagos_comm_t* comm, flagos_stream_t* stream,
                                   flagos_address_t source, flagos_address_t target, uint64_t count,
                                   flagos_dtype_t dtype, uint32_t root) {
  return simple(comm, stream, Kind::gather, source, target, count, dtype, 0, root);
}

flagos_status_t flagos_comm_scatter(flagos_comm_t* comm, flagos_stream_t* stream,
                                    flagos_address_t source, flagos_address_t target,
                                    uint64_t count, flagos_dtype_t dtype, uint32_t root) {
  return simple(comm, stream, Kind::scatter, source, target, count, dtype, 0, root);
}

flagos_status_t flagos_comm_all_to_all(flagos_comm_t* comm, flagos_stream_t* stream,
                                       flagos_address_t source, flagos_address_t target,
                                       uint64_t count, flagos_dtype_t dtype) {
  return simple(comm, stream, Kind::all_to_all, source, target, count, dtype);
}

flagos_status_t flagos_comm_all_gather_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                         flagos_address_t source, flagos_address_t target,
                                         const uint64_t* counts, const uint64_t* offsets,
                                         flagos_dtype_t dtype) {
  return operation(comm, stream, Kind::all_gather,
                   [&](Request& request, Communicator& communicator) {
                     request.source = source;
                     request.target = target;
                     request.dtype = dtype;
                     request.has_counts = true;
                     request.target_counts = array(counts, communicator.size(), "counts");
                     request.target_offsets = optional_array(offsets, communicator.size());
                   });
}

flagos_status_t flagos_comm_gather_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                     flagos_address_t source, flagos_address_t target,
                                     const uint64_t* counts, const uint64_t* offsets,
                                     flagos_dtype_t dtype, uint32_t root) {
  return operation(comm, stream, Kind::gather, [&](Request& request, Communicator& communicator) {
    request.source = source;
    request.target = target;
    request.dtype = dtype;
    request.root = root;
    request.has_counts = true;
    request.target_counts = array(counts, communicator.size(), "counts");
    request.target_offsets = optional_array(offsets, communicator.size());
  });
}

flagos_status_t flagos_comm_scatter_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                      flagos_address_t source, flagos_address_t target,
                                      const uint64_t* counts, const uint64_t* offsets,
                                      flagos_dtype_t dtype, uint32_t root) {
  return operation(comm, stream, Kind::scatter, [&](Request& request, Communicator& communicator) {
    request.source = source;
    request.target = target;
    request.dtype = dtype;
    request.root = root;
    request.has_counts = true;
    request.source_counts = array(counts, communicator.size(), "counts");
    request.source_offsets = optional_array(offsets, communicator.size());
  });
}

flagos_status_t flagos_comm_all_to_all_v(flagos_comm_t* comm, flagos_stream_t* stream,
                                         flagos_address_t source, const uint64_t* source_counts,
                                         const uint64_t* source_offsets, flagos_address_t target,
                                         const uint64_t* target_counts,
                                         const uint64_t* target_offsets, flagos_dtype_t dtype) {
  return operation(comm, stream, Kind::all_to_all,
                   [&](Request& request, Communicator& communicator) {
                     const std::uint32_t size = communicator.size();
                     request.source = source;
                     request.target = target;
                     request.dtype = dtype;
                     request.has_counts = true;
                     request.source_counts = array(source_counts, size, "source_counts");
                     request.source_offsets = optional_array(source_offsets, size);
                     request.target_counts = array(target_counts, size, "target_counts");
                     request.target_offsets = optional_array(target_offsets, size);
                   });
}

flagos_status_t flagos_comm_barrier(flagos_comm_t* comm, flagos_stream_t* stream) {
  return operation(comm, stream, Kind::barrier, [](Request&, Communicator&) {});
}

flagos_status_t flagos_comm_send(flagos_comm_t* comm, flagos_stream_t* stream,
                                 flagos_address_t source, uint64_t count, flagos_dtype_t dtype,
                                 uint32_t peer) {
  return message(comm, stream, true, source, count, dtype, peer);
}

flagos_status_t flagos_comm_receive(flagos_comm_t* comm, flagos_stream_t* stream,
                                    flagos_address_t target, uint64_t count, flagos_dtype_t dtype,
                                    uint32_t peer) {
  return message(comm, stream, false, target, count, dtype, peer);
}

flagos_status_t flagos_comm_window_create(flagos_comm_t* comm, flagos_address_t address,
                                          uint64_t size_bytes, flagos_comm_window_t* out_window) {
  return entry([&] {
    require(out_window, "out_window") = 0;
    *out_window = resolve(comm)->create_window(address, size_bytes);
  });
}

flagos_status_t flagos_comm_window_destroy(flagos_comm_t* comm, flagos_comm_window_t window) {
  return entry([&] { resolve(comm)->destroy_window(window); });
}

flagos_status_t flagos_comm_put(flagos_comm_t* comm, flagos_stream_t* stream,
                                flagos_comm_window_t window, uint32_t peer, uint64_t offset,
                                flagos_address_t source, uint64_t size_bytes) {
  return one_sided(comm, stream, Kind::put, peer, window, offset, source, size_bytes);
}

flagos_status_t flagos_comm_get(flagos_comm_t* comm, flagos_stream_t* stream,
                                flagos_comm_window_t window, uint32_t peer, uint64_t offset,
                                flagos_address_t target, uint64_t size_bytes) {
  return one_sided(comm, stream, Kind::get, peer, window, offset, target, size_bytes);
}

flagos_status_t flagos_comm_signal(flagos_comm_t* comm, flagos_stream_t* stream, uint32_t peer) {
  return one_sided(comm, stream, Kind::signal, peer, 0, 0, 0, 0);
}

flagos_status_t flagos_comm_wait_signal(flagos_comm_t* comm, flagos_stream_t* stream, uint32_t peer,
                                        uint64_t count) {
  return one_sided(comm, stream, Kind::wait_signal, peer, 0, 0, 0, count);
}

flagos_status_t flagos_comm_group_begin(void) {
  return entry([] { Group::get().begin(); });
}

flagos_status_t flagos_comm_group_end(void) {
  return entry([] { Group::get().end(); });
}
