// An event that several processes know: a page that all of them map holds the number of its last record and which of
// the recent ones are complete. Who records also holds a lock on the file, so that its death is seen.
#pragma once

#include <flagos.h>

#include <cstdint>
#include <memory>

#include "core/event.hpp"
#include "core/external.hpp"

namespace flagos::core {

class SharedEvent {
 public:
  SharedEvent();                                  // makes one
  SharedEvent(int fd, const ExternalBlob& blob);  // `fd` is borrowed
  SharedEvent(const SharedEvent&) = delete;
  SharedEvent& operator=(const SharedEvent&) = delete;

  // A record has a number: taken first, published when the stream has taken it, completed when the work is done.
  std::uint64_t begin_record();
  void publish(std::uint64_t record);
  void complete(std::uint64_t record, flagos_status_t status);
  std::uint64_t last_record() const;  // 0 when there was none

  // OK or the status it ended with, TIMEOUT while it is pending, CANCELLED when the process that was to complete it died.
  flagos_status_t test(std::uint64_t record) const;

  void describe(flagos_external_t& external) const;  // its fd is the caller's

 private:
  struct Page;
  void join();
  bool alive(std::uint32_t process) const;

  HostFile file_;
  Page* page_;
  FileDescriptor lock_;        // an open file of this process's own: its lock ends with the process
  std::uint32_t process_ = 0;  // our number among those who know the event
};

Ref<Event> make_shared_event(Device& device, const flagos_event_desc_t& desc);

// The entries of event.cpp for such events.
flagos_status_t shared_record(Event& event, Stream& stream);
flagos_status_t shared_wait(Stream& stream, Event& event);
flagos_status_t shared_synchronize(Event& event, std::uint64_t timeout_ns, const char* name);

}  // namespace flagos::core
