// Native first: where all ranks are devices of one plugin that has collectives of its own, operations that it has go to it,
// on the caller's stream. All others take the way through the communicator's thread.
#pragma once

#include <flagos_comm.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "comm/operation.hpp"

namespace flagos::comm {

class Communicator;
struct NativeClusters;

class Native {
 public:
  // Whether this process would use them at all: FLAGOS_COMM_NATIVE and what the device says. Throws for a bad value.
  static bool is_wanted(flagos_device_t* device);
  // All ranks call, each from a thread of its own. nullptr where not all can; `out_reason` says why, and `out_clusters` is for
  // the ranks that can with some others.
  static std::unique_ptr<Native> make(Communicator& communicator, std::string& out_reason,
                                      std::unique_ptr<NativeClusters>& out_clusters);

  Native(flagos_device_t* device, flagos_communicator_t* communicator, const std::string& plugin);
  ~Native();
  Native(const Native&) = delete;
  Native& operator=(const Native&) = delete;

  const std::string& plugin() const { return plugin_; }
  // The same on all ranks: depends on nothing that they may differ in.
  bool takes(const Request& request) const;
  // `scale` is of a premultiplied sum.
  void queue(const Request& request, const Reduction& reduction, double scale, std::uint32_t rank,
             std::uint32_t size);
  // Memory for what is queued on the stream until it is given back there.
  flagos_address_t lend(flagos_stream_t* stream, std::uint64_t bytes);
  void give_back(flagos_stream_t* stream, flagos_address_t lent);
  // Work behind it waits until all that was queued is done.
  void hold(flagos_stream_t* stream);
  // OK, TIMEOUT, or why something failed.
  flagos_status_t synchronize(std::uint64_t timeout_ns);
  flagos_status_t status(std::string& out_text);
  // Ends what waits. Once.
  void abort();
  std::uint64_t operations() const { return operations_.load(std::memory_order_relaxed); }

 private:
  // Memory that the plugin takes, in the place of the caller's.
  struct Loan {
    flagos_address_t own = 0, lent = 0;
    std::uint64_t bytes = 0;
    bool is_written = false;
  };
  bool has(flagos_collective_operation_t operation, flagos_dtype_t dtype,
           flagos_comm_reduction_t reduction) const;
  void queue_operation(const Request& request, const Reduction& reduction, double scale,
                       std::uint32_t rank, std::uint32_t size, std::vector<Loan>& loans);
  void queue_messages(const Request& request, std::vector<Loan>& loans);
  flagos_address_t suit(flagos_stream_t* stream, flagos_address_t address, std::uint64_t bytes,
                        bool is_written, bool always, std::vector<Loan>& loans);
  void settle(flagos_stream_t* stream, const std::vector<Loan>& loans);

  flagos_device_t* const device_;
  flagos_communicator_t* const communicator_;
  const std::string plugin_;
  bool takes_host_memory_ = false;
  flagos_event_t* done_ = nullptr;          // behind the last operation
  flagos_memory_pool_t* pool_ = nullptr;    // of loans
  std::vector<flagos_address_t> captured_;  // loans of graphs, which may be launched at any time
  std::atomic<std::uint64_t> operations_{0};
  std::atomic<bool> is_aborted_{false};
};

// Ranks of one plugin inside a communicator of several: each such cluster has the plugin's own collectives. An operation
// is done within each cluster, then among one rank of each, the ordinary way, and within each again.
struct NativeClusters {
  std::vector<std::vector<std::uint32_t>>
      clusters;                    // their ranks, ascending; some may be of one rank
  std::uint32_t own = 0;           // the cluster of this rank
  std::uint32_t place = 0;         // of this rank in it
  std::unique_ptr<Native> native;  // of the cluster; nullptr where it is of one rank
  // What all plugins of the clusters have: bits of reductions, for each dtype.
  std::array<std::uint16_t, dtype_count> reductions{};
  bool broadcasts = false;
  // Nobody said that they are to be used in any case: where it was measured to pay, by operation and size.
  bool is_unasked = false;
  static constexpr std::array kinds = {Kind::all_reduce, Kind::reduce, Kind::broadcast};
  static constexpr std::uint64_t most_small = 64 << 10;
  std::array<std::array<bool, 2>, kinds.size()> pays{};

  // The same on all ranks.
  bool takes(const Request& request, const Reduction& reduction) const;
  // One rank of each cluster: the first, or `root` in its own.
  void representatives(std::uint32_t root, std::vector<std::uint32_t>& out) const;
  // The place of that rank in this rank's cluster.
  std::uint32_t place_of_representative(std::uint32_t root) const;
  // "ranks 0, 2 and 3"
  std::string own_ranks() const;
};

}  // namespace flagos::comm
