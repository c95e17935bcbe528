// Messages by UCX, which is opened at run time: RDMA where there is hardware, else its shared memory and TCP. The sockets of
// transport/tcp.hpp stay beside it: they prove who a peer is, carry what this needs to reach it, and tell when it has gone.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/segment.hpp"

namespace flagos::comm {

// Whether ranks can talk by UCX here; else `out_why` says why not.
bool has_ucx(std::string& out_why);
// Whether the host has a network that only UCX uses well.
bool has_fabric();

// The rings of one peer in one lane. All calls by the thread of the transport.
class UcxLink;

// What all links of a communicator share. Messages are taken in progress().
class UcxWorker {
 public:
  // Throws when UCX cannot be opened or has no network here.
  UcxWorker();
  ~UcxWorker();
  UcxWorker(const UcxWorker&) = delete;
  UcxWorker& operator=(const UcxWorker&) = delete;

  // To be told to the peers.
  std::span<const std::byte> address() const;
  bool progress();
  // Readable when there may be something to do.
  int descriptor() const;
  // Whether the caller may sleep until the descriptor says so.
  bool may_sleep();

 private:
  friend class UcxLink;
  struct State;
  std::unique_ptr<State> state_;
};

class UcxLink {
 public:
  // `own` holds `out`; `stand_in`, in which the peer's messages appear, holds `in`.
  UcxLink(UcxWorker& worker, std::shared_ptr<Segment> own, Ring& out,
          std::shared_ptr<Segment> stand_in, Ring& in);
  ~UcxLink();
  UcxLink(const UcxLink&) = delete;
  UcxLink& operator=(const UcxLink&) = delete;

  // What the peer writes on its messages, so that no stranger's are taken.
  struct Label {
    std::uint64_t token;
    std::uint32_t index;
    std::uint32_t padding;
  };
  Label label() const;
  bool is_connected() const;
  void connect(std::span<const std::byte> address, const Label& label);

  // Sends and takes what there is; whether anything moved. `out_why` when the peer is out of reach.
  bool pump(std::string& out_why);
  // Whether there is an entry that can be sent now.
  bool has_work() const;
  // Whether the peer has taken all.
  bool is_flushed() const;
  // Afterwards no message reads our memory any more.
  void close();

 private:
  friend class UcxWorker;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flagos::comm
