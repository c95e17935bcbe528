// Seeded bugs of collectives.
#include <atomic>
#include <mutex>
#include <utility>

#include "conformance/mutants/catalogue.hpp"

namespace flagos::conformance::mutants {
namespace {

using Desc = flagos_collective_desc_t;

// M59: the last element of a sum in place is left as it is.
flagos_status_t odd_in_place(flagos_plugin_communicator_t* communicator,
                             flagos_plugin_stream_t* stream, const Desc* desc) {
  Desc copy = *desc;
  if (copy.source == copy.target && copy.count % 2 == 1 && copy.count > 1) --copy.count;
  return next<slot::collective_all_reduce>(communicator, stream, static_cast<const Desc*>(&copy));
}

// M60: the root of a broadcast is always rank 0.
flagos_status_t first_root(flagos_plugin_communicator_t* communicator,
                           flagos_plugin_stream_t* stream, const Desc* desc) {
  Desc copy = *desc;
  copy.peer = 0;
  return next<slot::collective_broadcast>(communicator, stream, static_cast<const Desc*>(&copy));
}

// M61: with three ranks, the first two blocks that come in change places.
std::atomic<std::uint32_t> last_size{0};
flagos_status_t note_size(flagos_plugin_device_t* device, const flagos_communicator_desc_t* desc,
                          flagos_plugin_communicator_t** out) {
  last_size = desc->size;
  return next<slot::collective_communicator_create>(device, desc, out);
}
flagos_status_t swapped_blocks(flagos_plugin_communicator_t* communicator,
                               flagos_plugin_stream_t* stream, const Desc* desc) {
  const flagos_status_t status = next<slot::collective_all_to_all>(communicator, stream, desc);
  const std::uint64_t block = desc->count * (FLAGOS_DTYPE_BITS(desc->dtype) / 8);
  if (status != FLAGOS_STATUS_OK || last_size != 3 || block == 0) return status;
  // Behind the operation, by way of the source, which is read no more.
  const flagos_address_t target = desc->target, spare = desc->source;
  for (const auto& [to, from] : {std::pair{spare, target}, std::pair{target, target + block},
                                 std::pair{target + block, spare}})
    next<slot::memory_copy>(stream, to, from, block);
  return FLAGOS_STATUS_OK;
}

// M62: a split orders its ranks as they were and not by their keys.
flagos_status_t keyless_split(flagos_plugin_communicator_t* communicator, std::int32_t color,
                              std::int32_t, flagos_plugin_communicator_t** out,
                              std::uint32_t* out_rank, std::uint32_t* out_size) {
  return next<slot::collective_communicator_split>(communicator, color, std::int32_t{0}, out,
                                                   out_rank, out_size);
}

// M63: nobody is told of a rank that has died.
flagos_status_t patient_wait(flagos_plugin_stream_t* stream, std::uint64_t timeout_ns) {
  const flagos_status_t status = next<slot::stream_synchronize>(stream, timeout_ns);
  return FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_COMM ? FLAGOS_STATUS_TIMEOUT : status;
}

// M66: the scale of a premultiplied sum is that of the first call for all.
flagos_status_t kept_scale(flagos_plugin_communicator_t* communicator,
                           flagos_plugin_stream_t* stream, const Desc* desc) {
  static std::mutex mutex;
  static double first = 0;
  Desc copy = *desc;
  if (desc->reduction == FLAGOS_COLLECTIVE_REDUCTION_PREMULTIPLIED_SUM) {
    const std::lock_guard lock(mutex);
    if (first == 0) first = desc->scale;
    copy.scale = first;
  }
  return next<slot::collective_all_reduce>(communicator, stream, static_cast<const Desc*>(&copy));
}

}  // namespace

void add_seeded_collective(std::vector<Mutant>& list) {
  list.push_back(seeded<slot::collective_all_reduce>(
      "M59", "a sum in place leaves out the last element of odd counts", {"coll.allreduce.matrix"},
      &odd_in_place));
  list.push_back(seeded<slot::collective_broadcast>("M60", "a broadcast always comes from rank 0",
                                                    {"coll.broadcast.matrix"}, &first_root));
  list.push_back(seeded<slot::collective_all_to_all>("M61",
                                                     "all_to_all of three ranks swaps two blocks",
                                                     {"coll.alltoall.matrix"}, &swapped_blocks));
  list.back().prepare = [](Tables& tables) { tables.collective.communicator_create = &note_size; };
  list.push_back(seeded<slot::collective_communicator_split>(
      "M62", "a split does not look at the keys", {"coll.split"}, &keyless_split));
  list.push_back(seeded<slot::stream_synchronize>("M63", "survivors wait on when a rank has died",
                                                  {"coll.fault.kill_rank", "coll.fault.exit_rank"},
                                                  &patient_wait));
  list.push_back(seeded<slot::collective_all_reduce>(
      "M66", "the scale of a premultiplied sum is that of the first call",
      {"coll.premul_custom_op"}, &kept_scale));
}

}  // namespace flagos::conformance::mutants
