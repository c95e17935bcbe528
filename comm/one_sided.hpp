// One-sided operations: bytes to and from registered memory of another rank, which makes no call for it, and signals.
//
// They have rings of their own (a lane), so that they pass operations of all ranks that wait. Whoever steps a rank also serves
// what others ask of it. A put is done when the other rank has confirmed that the bytes are in their place; so a signal
// behind it, or a barrier, says that they are there.
#pragma once

#include <mutex>
#include <vector>

#include "comm/operation.hpp"
#include "comm/staging.hpp"

namespace flagos::comm {

// Memory that a rank has registered.
struct WindowPart {
  flagos_address_t address = 0;
  std::uint64_t bytes = 0;
};

class OneSided {
 public:
  // `peers` are those of the lane.
  OneSided(std::uint32_t rank, std::vector<Peer>& peers, Staging& staging);

  // ---- windows; any thread
  // What this rank gives; the others can reach it at once. Throws when it is not memory that the runtime knows.
  flagos_comm_window_t add_window(WindowPart own);
  void set_parts(flagos_comm_window_t window, const std::vector<WindowPart>& parts);
  void remove_window(flagos_comm_window_t window);
  // Whether others may come at any time.
  bool has_windows();
  // What the call may not do; throws.
  void check(const Request& request);

  // ---- whoever steps
  // Does what others ask for. Whether anything was done.
  bool serve();
  void start(Operation& operation);
  bool step();
  bool is_done() const { return operation_ == nullptr; }
  void drop() { operation_ = nullptr; }

 private:
  struct Window {
    bool is_used = false;
    flagos_memory_info_t info{};  // of this rank's memory when it was registered
    std::vector<WindowPart> parts;
  };
  // One message of several entries on its way out.
  struct Outgoing {
    static constexpr std::uint32_t most_filling = 3;
    flagos_address_t address = 0;
    std::uint64_t bytes = 0, sent = 0;
    bool reached = true;
    bool is_direct = false;  // the other rank reads the memory itself
    std::uint64_t fetched =
        0;  // of memory that the host does not reach: in slots, or on its way there
    std::uint32_t filling_count = 0;
    int filling[most_filling];
  };

  bool serve(Peer& peer);
  bool serve_entry(Peer& peer, const Entry& entry);
  bool write(const Entry& entry, const Peer& peer, flagos_address_t target);
  flagos_address_t address_in(const Header& header, const Peer& peer);
  bool send_some(Peer& peer, Outgoing& outgoing, Header header);
  void fetch_ahead(Outgoing& outgoing);
  bool place_piece(Outgoing& outgoing, std::uint64_t bytes, Peer& peer, Entry& entry);
  void send_empty(Peer& peer, Kind kind, std::uint8_t phase);
  bool with_self();

  const std::uint32_t rank_;
  std::vector<Peer>& peers_;
  Staging& staging_;

  std::mutex mutex_;  // guards windows_
  std::vector<Window> windows_;

  // For each rank.
  std::vector<std::uint32_t> confirmations_;  // of its puts, that it is still to get
  std::vector<Outgoing> answers_;
  std::vector<std::uint64_t> signals_;  // that nobody has waited for

  Operation* operation_ = nullptr;
  Outgoing outgoing_;
  bool is_asked_ = false;      // a get has been asked for
  bool is_confirmed_ = false;  // a put is there
  std::uint64_t received_ = 0;
};

}  // namespace flagos::comm
