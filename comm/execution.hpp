// Carries out one operation of one rank, a step at a time: whoever steps, the caller or the communicator's thread, never
// waits in here.
#pragma once

#include <memory>
#include <vector>

#include "comm/one_sided.hpp"
#include "comm/plan.hpp"
#include "comm/staging.hpp"

namespace flagos::comm {

class Execution {
 public:
  Execution(std::uint32_t rank, std::vector<Peer>& peers, Staging& staging, OneSided& one_sided);

  void set_topology(Topology topology);
  const Topology& topology() const { return topology_; }

  // Throws when memory that was there at the call, some time ago, has gone.
  void start(Operation& operation, bool was_queued);
  // Does what can be done now. Whether anything was; throws when ranks disagree or a device fails.
  bool step();
  bool is_done() const { return operation_ == nullptr; }
  // Gives up.
  void drop() {
    operation_ = nullptr;
    one_sided_.drop();
  }
  Operation* operation() const { return operation_; }
  const Plan& plan() const { return plan_; }
  // A rank that this one waits for; itself when it waits for its own device.
  std::uint32_t waits_for() const;

 private:
  // So much is copied or reduced before something else gets a look.
  static constexpr std::uint64_t piece_bytes = 4 << 20;
  static constexpr std::uint32_t most_filling = 4;
  struct SendState {
    bool reached = false, is_small = false, has_chunks = false, is_done = false;
    std::uint32_t next_target = 0;  // of those that get all in one entry
    std::uint64_t fetched = 0;      // bytes in slots, or on their way there
    std::uint64_t handed_over = 0;  // bytes that chunked targets have
    std::uint32_t filling_first = 0, filling_count = 0;
    struct Filling {
      int slot;
      std::uint64_t bytes;
    } filling[most_filling];
    std::int32_t previous = -1;  // a send of the phase to the same rank, which goes first
  };
  struct ReceiveState {
    bool reached = false, has_begun = false, is_done = false;
    std::uint64_t received = 0;
    std::uint64_t of_entry = 0;  // bytes of the front entry that were taken
    std::int32_t previous = -1;
  };
  struct Cursor {
    const std::byte* data = nullptr;
    std::uint64_t available = 0;
    bool has_begun = false;
  };
  static constexpr std::uint32_t no_own = UINT32_MAX;
  struct ReductionState {
    Reduction reduction;
    std::uint32_t own_index = no_own;  // which source this rank is
    bool is_done = true, own_reached = false, target_reached = false;
    const DeviceReduction::Kernel* kernel = nullptr;  // the device reduces, in its own memory
    std::uint64_t done = 0;                           // bytes of the result
    std::uint64_t fetched = 0;  // bytes of our own contribution in slots, or on their way
    std::uint32_t slot_count = 0;
    struct Own {
      int slot;
      std::uint64_t bytes, used;
    } slots[2];
  };

  void check_memory() const;
  bool is_planned(const Operation& operation);
  void begin_phase();
  void begin_sends(const Phase& phase);
  void begin_receives(const Phase& phase);
  void begin_reduction(const PlannedReduction& reduction);
  void choose_reducer(const PlannedReduction& reduction);
  bool step_send(const Send& send, SendState& state);
  bool step_chunks(const Send& send, SendState& state);
  bool fill_slots(const Send& send, SendState& state);
  bool is_sent(const Send& send, const SendState& state);
  bool in_one_entry(const Send& send, const SendState& state, std::uint32_t peer) const;
  void write_entry(const Send& send, std::uint32_t target_index, Entry& entry);
  Header header_for(const Send& send, std::uint32_t peer);
  bool step_receive(const Receive& receive, ReceiveState& state);
  bool step_reduction();
  bool gather_sources(const PlannedReduction& reduction, std::uint64_t& out_bytes);
  bool step_own(const PlannedReduction& reduction);
  void release_sources(const PlannedReduction& reduction, std::uint64_t bytes);
  bool write_result(const PlannedReduction& reduction, std::uint64_t bytes);
  bool reduce_on_device(const PlannedReduction& reduction, std::uint64_t bytes);
  void run_copies(const Phase& phase);
  void write(flagos_address_t target, const std::byte* source, std::uint64_t bytes) const;
  void convert(const LocalCopy& copy) const;
  std::uint32_t source_rank(const PlannedReduction& reduction, std::uint32_t index) const {
    return plan_.sources[reduction.first_source + index];
  }
  std::uint64_t gate_limit(std::int32_t gate, std::uint64_t otherwise) const;
  const std::byte* data_of(const Entry& entry, const Peer& peer, std::uint64_t bytes) const;
  void check_header(const Header& found, const Peer& peer, std::uint64_t bytes,
                    std::int32_t message) const;

  const std::uint32_t rank_;
  std::vector<Peer>& peers_;
  Staging& staging_;
  OneSided& one_sided_;
  Topology topology_;
  std::unique_ptr<std::byte[]> scratch_;
  Operation* operation_ = nullptr;
  Plan plan_;
  // What the plan is for, if the next operation may have the same.
  struct Planned {
    Kind kind = Kind::none;
    std::uint8_t reduction = 0;
    flagos_dtype_t dtype = 0;
    std::uint32_t root = 0;
    flagos_address_t source = 0, target = 0;
    std::uint64_t count = 0;
    bool operator==(const Planned&) const = default;
  } planned_;
  bool is_streaming_ = false;  // what comes is too large to stay in a cache
  std::uint32_t phase_ = 0;
  std::uint32_t first_send_ = 0, first_receive_ = 0, first_copy_ = 0;
  std::vector<SendState> sends_;        // of the phase
  std::vector<ReceiveState> receives_;  // of the phase
  std::vector<std::uint32_t> numbers_;  // for each of the plan's targets, its last entry
  std::vector<std::uint64_t>
      message_numbers_;  // for each message of an exchange, its place between the two ranks
  ReductionState reduction_;
  std::vector<Cursor> cursors_;
  std::vector<const void*> sources_;
  std::vector<double> scales_;
  std::vector<std::int32_t> last_of_peer_;
};

}  // namespace flagos::comm
