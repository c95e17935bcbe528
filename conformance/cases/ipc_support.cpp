#include "conformance/cases/ipc_support.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "conformance/cases/process.hpp"
#include "conformance/helper.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

}  // namespace

Channel::~Channel() { ::close(fd_); }

bool Channel::send(const Message& message) {
  Message copy = message;
  iovec part{&copy, sizeof copy};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (message.external.struct_size != 0 && message.external.fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const carried = CMSG_FIRSTHDR(&header);
    carried->cmsg_level = SOL_SOCKET;
    carried->cmsg_type = SCM_RIGHTS;
    carried->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(carried), &message.external.fd, sizeof(int));
  }
  return ::sendmsg(fd_, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof copy);
}

bool Channel::receive(Message& message) {
  pollfd wanted{fd_, POLLIN, 0};
  if (::poll(&wanted, 1, 60'000) != 1) return false;
  iovec part{&message, sizeof message};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  if (::recvmsg(fd_, &header, MSG_CMSG_CLOEXEC) != static_cast<ssize_t>(sizeof message))
    return false;
  message.external.fd = -1;
  if (const cmsghdr* const carried = CMSG_FIRSTHDR(&header))
    std::memcpy(&message.external.fd, CMSG_DATA(carried), sizeof(int));
  return true;
}

Follower::Follower(const Context::Settings& settings) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return;
  channel_ = std::make_unique<Channel>(ends[0]);
  const std::string number = std::to_string(ends[1]), json = settings_to_json(settings).dump();
  const char* const command[] = {settings.helper_path.c_str(),
                                 "--helper",
                                 "ipc_follower",
                                 json.c_str(),
                                 number.c_str(),
                                 nullptr};
  pid_ = ::fork();
  if (pid_ == 0) {
    ::fcntl(ends[1], F_SETFD, 0);
    ::execv(command[0], const_cast<char* const*>(command));
    ::_exit(127);
  }
  ::close(ends[1]);
}

Follower::~Follower() { kill(); }

void Follower::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

bool Follower::ask(Message& message) {
  return channel_ != nullptr && channel_->send(message) && channel_->receive(message);
}

Message ask(Context& t, Follower& follower, Message message, flagos_status_t expected) {
  const auto order = std::to_string(static_cast<std::uint32_t>(message.order));
  t.check(follower.ask(message), "the other process answers to order " + order);
  t.status(message.status, expected, "what the other process says to order " + order);
  return message;
}

Message order(Order what, std::uint64_t address, std::uint64_t seed, std::uint64_t size) {
  Message message;
  message.order = what;
  message.address = address;
  message.seed = seed;
  message.size = size;
  return message;
}

Message order(Order what, const flagos_external_t& external) {
  Message message = order(what);
  message.external = external;
  return message;
}

std::vector<std::uint8_t> pattern(std::uint64_t seed, std::uint64_t size) {
  std::mt19937_64 engine(seed);
  std::vector<std::uint8_t> bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine() >> 24);
  return bytes;
}

std::vector<std::uint8_t> read_memory(Context& t, flagos_address_t address, std::uint64_t size) {
  std::vector<std::uint8_t> bytes(size, Buffer::poison);
  Stream stream(t);
  t.ok(flagos_memory_copy(stream, reinterpret_cast<flagos_address_t>(bytes.data()), address, size),
       "read memory");
  stream.synchronize();
  return bytes;
}

void write_memory(Context& t, flagos_address_t address, std::span<const std::uint8_t> bytes) {
  Stream stream(t);
  t.ok(flagos_memory_copy(stream, address, reinterpret_cast<flagos_address_t>(bytes.data()),
                          bytes.size()),
       "write memory");
  stream.synchronize();
}

Exportable::Exportable(Context& t, std::uint64_t size, std::uint64_t seed, std::uint64_t written)
    : t_(t) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = size;
  desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
  if (flagos_memory_alloc(t.device(), &desc, &address_) == FLAGOS_STATUS_UNSUPPORTED) {
    desc.kind = FLAGOS_MEMORY_KIND_PINNED;
    t.ok(flagos_memory_alloc(t.device(), &desc, &address_), "allocate exportable memory");
  }
  t.check(address_ != 0, "there is memory that can be exported");
  write_memory(t, address_, pattern(seed, written));
}

Exportable::~Exportable() { flagos_memory_free(t_.device(), address_); }

void Exportable::free() {
  t_.ok(flagos_memory_free(t_.device(), address_), "free exported memory");
  address_ = 0;
}

External::External(Context& t, flagos_address_t address) {
  value_.struct_size = sizeof value_;
  t.ok(flagos_memory_export(t.device(), address, &value_), "export memory");
}

External::External(Context& t, flagos_event_t* event) {
  value_.struct_size = sizeof value_;
  t.ok(flagos_event_export(event, &value_), "export an event");
}

External::~External() {
  if (value_.fd >= 0) ::close(value_.fd);
}

namespace {

// What the other process has made so far.
struct Holdings {
  Context& t;
  Stream stream{t};
  std::vector<std::unique_ptr<Exportable>> memory = {};
  std::vector<std::unique_ptr<External>> exports = {};
  std::unique_ptr<Blocker> blocker = nullptr;
  std::unique_ptr<Follower> next = nullptr;
  flagos_event_t* event = nullptr;
};

flagos_status_t check_pattern(Context& t, const Message& message) {
  return read_memory(t, message.address, message.size) == pattern(message.seed, message.size)
             ? ok
             : FLAGOS_STATUS_EXECUTION_FAILED;
}

flagos_status_t run_cycles(Context& t, const Message& message) {
  for (std::uint64_t i = 0; i < message.size; ++i) {
    flagos_address_t address = 0;
    flagos_status_t status = flagos_memory_import(t.device(), &message.external, &address, nullptr);
    if (status == ok) status = flagos_memory_free(t.device(), address);
    if (status != ok) return status;
  }
  return ok;
}

flagos_status_t wait_and_check(Holdings& mine, const Message& message) {
  const flagos_status_t queued = flagos_stream_wait_event(mine.stream, mine.event);
  if (queued != ok) return queued;
  std::vector<std::uint8_t> bytes(message.size);
  if (message.size != 0)
    flagos_memory_copy(mine.stream, reinterpret_cast<flagos_address_t>(bytes.data()),
                       message.address, message.size);
  const flagos_status_t status = flagos_stream_synchronize(mine.stream, a_minute);
  if (status != ok || message.size == 0) return status;
  return bytes == pattern(message.seed, message.size) ? ok : FLAGOS_STATUS_EXECUTION_FAILED;
}

flagos_status_t record(Holdings& mine, const Message& message) {
  const auto bytes = pattern(message.seed, message.size);
  if (message.size != 0)
    flagos_memory_copy(mine.stream, message.address,
                       reinterpret_cast<flagos_address_t>(bytes.data()), bytes.size());
  const flagos_status_t status = flagos_event_record(mine.event, mine.stream);
  mine.stream.synchronize();
  return status;
}

flagos_status_t forward(Holdings& mine, const Message& message) {
  mine.next = std::make_unique<Follower>(mine.t.settings());
  Message passed = message;
  passed.order = Order::import_memory;
  if (!mine.next->ask(passed)) return FLAGOS_STATUS_INTERNAL;
  if (passed.status != ok) return passed.status;
  passed.order = Order::check;
  passed.seed = message.seed;
  passed.size = message.size;
  return mine.next->ask(passed) ? passed.status : FLAGOS_STATUS_INTERNAL;
}

void make_event(Holdings& mine, Message& message) {
  flagos_event_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.flags = FLAGOS_EVENT_FLAG_NO_TIMING | FLAGOS_EVENT_FLAG_EXPORTABLE;
  message.status = flagos_event_create(mine.t.device(), &desc, &mine.event);
  if (message.status != ok) return;
  mine.exports.push_back(std::make_unique<External>(mine.t, mine.event));
  message.external = mine.exports.back()->value();
}

void follow(Holdings& mine, Message& message) {
  Context& t = mine.t;
  switch (message.order) {
    case Order::import_memory:
      message.status =
          flagos_memory_import(t.device(), &message.external, &message.address, &message.size);
      break;
    case Order::check:
      message.status = check_pattern(t, message);
      break;
    case Order::write:
      write_memory(t, message.address, pattern(message.seed, message.size));
      message.status = ok;
      break;
    case Order::free_memory:
      message.status = flagos_memory_free(t.device(), message.address);
      break;
    case Order::export_memory:
      mine.memory.push_back(std::make_unique<Exportable>(t, message.size, message.seed));
      mine.exports.push_back(std::make_unique<External>(t, mine.memory.back()->address()));
      message.external = mine.exports.back()->value();
      message.status = ok;
      break;
    case Order::import_event:
      message.status = flagos_event_import(t.device(), &message.external, &mine.event);
      break;
    case Order::export_event:
      make_event(mine, message);
      break;
    case Order::record:
      message.status = record(mine, message);
      break;
    case Order::record_blocked:
      mine.blocker = std::make_unique<Blocker>(t, mine.stream);
      message.status = flagos_event_record(mine.event, mine.stream);
      break;
    case Order::query: {
      std::uint32_t complete = 0;
      message.status = flagos_event_query(mine.event, &complete);
      message.address = complete;
      break;
    }
    case Order::wait:
      message.status = wait_and_check(mine, message);
      break;
    case Order::cycles:
      message.status = run_cycles(t, message);
      break;
    case Order::forward:
      message.status = forward(mine, message);
      break;
    case Order::die:
      ::raise(SIGKILL);
  }
}

int channel_number = -1;

void follow_all(Context& t) {
  Channel channel(channel_number);
  t.check(t.device() != nullptr, "the device opens");
  Holdings mine{t};
  Message message;
  while (channel.receive(message)) {
    const int received = message.external.fd;
    follow(mine, message);
    if (received >= 0) {
      ::close(received);
      if (message.external.fd == received) message.external.fd = -1;
    }
    if (!channel.send(message)) break;
  }
  flagos_event_destroy(mine.event);
}

FLAGOS_HELPER("ipc_follower") {
  channel_number = std::stoi(h.arguments.at(0));
  ::fcntl(channel_number, F_SETFD, FD_CLOEXEC);
  return run_checks(h, &follow_all);
}

}  // namespace

}  // namespace flagos::conformance
