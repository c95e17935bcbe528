// Ranks of other hosts, by TCP. A thread of each communicator carries entries between our rings and sockets: what we write
// for a remote rank goes out, and what comes in appears in a segment that stands in for the remote rank's own. So nobody
// else in here knows that there is a network.
#pragma once

#include <poll.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "comm/bootstrap/socket.hpp"
#include "comm/segment.hpp"
#include "comm/transport/ucx.hpp"

namespace flagos::comm {

class TcpTransport {
 public:
  TcpTransport(std::uint32_t rank, std::uint32_t size, std::shared_ptr<Segment> segment);
  // Sends what is left, says goodbye, and ends.
  ~TcpTransport();
  TcpTransport(const TcpTransport&) = delete;
  TcpTransport& operator=(const TcpTransport&) = delete;

  // Before add(). Messages go by UCX, and by the sockets what must be told beside them; all ranks do so or none.
  void use(std::unique_ptr<UcxWorker> worker) { worker_ = std::move(worker); }
  // Before start(). What stands in for the peer's segment.
  std::shared_ptr<Segment> add(std::uint32_t peer, Socket socket, std::uint32_t lane = 0);
  void start();
  // To be rung when an entry was written for a remote rank, or one of its entries consumed.
  int doorbell() const { return doorbell_; }
  void ring() const;
  // Whether the thread sleeps, and must be rung for.
  std::atomic<std::uint32_t>& sleeping() { return sleeping_; }

 private:
  enum class FrameKind : std::uint32_t { data, failure, goodbye, question, answer, address };
  struct Frame {
    static constexpr std::uint32_t magic_value = 0x6d617266;
    std::uint32_t magic = magic_value;
    FrameKind kind = FrameKind::data;
    std::uint64_t bytes = 0;  // that follow
    Header header;
  };
  struct Link {
    std::uint32_t peer = 0;
    Socket socket;
    std::shared_ptr<Segment> stand_in;
    Ring* out = nullptr;
    Ring* in = nullptr;
    // Going out: the entry, how much of it earlier frames hold, and how much of the frame has left.
    std::uint32_t out_read = 0;
    std::uint64_t entry_sent = 0;
    Frame out_frame;
    bool has_out_frame = false;
    bool is_control = false;  // the frame is a question or an answer
    std::uint64_t out_done = 0;
    // Coming in.
    std::uint32_t in_written = 0;
    Frame in_frame;
    std::uint64_t in_done = 0;
    // Questions that were passed on: to the peer, and of the peer (its number, and the number here; 0: none).
    std::uint32_t asked = 0;
    std::uint32_t peers_question = 0, own_question = 0;
    std::unique_ptr<UcxLink> ucx;
    std::vector<std::byte> address;  // what the peer needs to reach us by UCX, until it was sent
    std::chrono::steady_clock::time_point lost{};  // since when UCX does not reach the peer
    bool has_said_last = false;                    // a failure or goodbye
    bool is_over = false;                          // nothing comes any more
  };

  void run();
  bool pump_out(Link& link);
  bool make_control(Link& link);
  bool make_address(Link& link);
  bool take_address(Link& link);
  bool pump_ucx(Link& link);
  static bool has_room(const Link& link);
  bool take_control(Link& link);
  bool send_frame(Link& link, const std::byte* data);
  bool pump_in(Link& link);
  bool take_frame(Link& link);
  std::byte* place_for(Link& link);
  void say_last(Link& link, FrameKind kind);
  void lose(Link& link, const std::string& why);
  bool is_flushed() const;
  void wait(bool moved);

  const std::uint32_t rank_, size_;
  std::shared_ptr<Segment> segment_;
  std::unique_ptr<UcxWorker> worker_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<pollfd> polled_;
  int doorbell_ = -1;
  std::atomic<std::uint32_t> sleeping_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace flagos::comm
