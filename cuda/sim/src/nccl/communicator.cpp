#include "nccl/communicator.h"

#include <cstdio>
#include <cstring>

#include "nccl/reduce.h"

namespace sim::nccl {

namespace {

char theLastError[1024] = "";

class Operation : public Collective {
 public:
  Operation(std::shared_ptr<Communicator> communicator, const Request &request, uint64_t send, uint64_t receive)
      : communicator_(std::move(communicator)), request_(request), send_(send), receive_(receive) {}

  const void *communicator() const override { return communicator_.get(); }

  uint64_t queued(int failure) override {
    Communicator &c = *communicator_;
    const uint64_t number = ++c.queued;
    if (failure != 0 && c.stuckAt == 0) {
      c.stuckAt = number;
      fail(c, static_cast<ncclResult_t>(failure), "a failure on demand");
    }
    return number;
  }

  bool arrives(uint64_t number, bool first) override {
    Communicator &c = *communicator_;
    if (c.board == nullptr) return true;
    if (c.stuckAt != 0 && number >= c.stuckAt) return false;
    if (first && !c.board->post(number, request_, brings() ? data(send_) : nullptr, brings() ? bytes() : 0)) {
      c.stuckAt = number;
      fail(c, ncclSystemError, "no room for what rank " + std::to_string(c.rank) + " brings to " + request_.text());
      return false;
    }
    return c.board->missing(number).empty();
  }

  CUresult run(uint64_t number) override {
    Communicator &c = *communicator_;
    if (c.board == nullptr || !matches(number)) {
      spoil();
    } else if (!compute(number)) {
      spoil();
      fail(c, ncclSystemError, "what the ranks brought to " + request_.text() + " can't be read");
    }
    return CUDA_SUCCESS;
  }

  std::string missing(uint64_t number) const override {
    const Communicator &c = *communicator_;
    const std::string what = "collective " + std::to_string(number) + " of " + c.name + ", " + request_.text();
    const std::string me = ", waits on rank " + std::to_string(c.rank) + " of " + std::to_string(c.ranks);
    if (c.board == nullptr) return what + me;
    if (c.stuckAt != 0 && number >= c.stuckAt) {
      return what + me + " and will not end: the communicator has failed, and nobody has aborted it";
    }
    return what + me + " for " + listed(c.board->missing(number));
  }

 private:
  uint64_t bytes() const { return request_.count * sizeOf(int(request_.type)); }
  bool brings() const { return request_.kind != Request::Broadcast || request_.root == communicator_->rank; }

  // The result that nobody may use.
  void spoil() const { std::memset(data(receive_), 0xff, bytes()); }

  // NCCL launches a collective in another way where it is captured, and that must be the same for all ranks.
  void checkCaptured(uint64_t number, int rank, const Request &first, const Request &other) const {
    if (first.captured == other.captured || !option("nccl-mixed-capture", "").empty()) return;
    const std::string zero = "rank 0", that = "rank " + std::to_string(rank);
    report(check::mismatch, "collective " + std::to_string(number) + " of " + communicator_->name + ", " + first.text() +
                                ", is captured on " + (first.captured ? zero : that) + ", and not on " +
                                (first.captured ? that : zero));
  }

  bool matches(uint64_t number) const {
    Communicator &c = *communicator_;
    const Request first = c.board->request(0, number);
    for (int rank = 1; rank < c.ranks; rank++) {
      const Request other = c.board->request(rank, number);
      if (first == other) {
        checkCaptured(number, rank, first, other);
        continue;
      }
      const std::string what = "collective " + std::to_string(number) + " of " + c.name + " is " + first.text() +
                               " on rank 0, and " + other.text() + " on rank " + std::to_string(rank);
      report(check::mismatch, what);
      fail(c, ncclInvalidUsage, what);
      return false;
    }
    return true;
  }

  bool compute(uint64_t number) const {
    const Communicator &c = *communicator_;
    uint8_t *result = data(receive_);
    if (request_.kind == Request::Broadcast) return c.board->read(request_.root, number, 0, result, bytes());
    const auto source = [&](int rank, uint64_t offset, uint8_t *to, uint64_t size) {
      return c.board->read(rank, number, offset, to, size);
    };
    return reduce(static_cast<ncclDataType_t>(request_.type), static_cast<ncclRedOp_t>(request_.op), c.ranks,
                  request_.count, source, result);
  }

  const std::shared_ptr<Communicator> communicator_;
  const Request request_;
  const uint64_t send_, receive_;
};

}  // namespace

void fail(Communicator &communicator, ncclResult_t error, const std::string &why) {
  if (communicator.error != ncclSuccess) return;
  communicator.error = error;
  setLastError(communicator.name + ": " + why);
}

void setLastError(const std::string &text) { std::snprintf(theLastError, sizeof theLastError, "%s", text.c_str()); }
const char *lastError() { return theLastError; }

Work collectiveWork(const std::shared_ptr<Communicator> &communicator, const Request &request, uint64_t send,
                    uint64_t receive) {
  const uint64_t bytes = request.count * sizeOf(int(request.type));
  const bool brings = request.kind != Request::Broadcast || request.root == communicator->rank;
  Work work;
  if (brings && send == receive) {
    work.accesses = {{receive, bytes, Mode::Update, "recvbuff"}};
  } else {
    if (brings) work.accesses.push_back({send, bytes, Mode::Read, "sendbuff"});
    work.accesses.push_back({receive, bytes, Mode::Write, "recvbuff"});
  }
  work.handles = {communicator.get()};
  work.collective = std::make_shared<Operation>(communicator, request, send, receive);
  work.counter = "nccl";
  work.counterBytes = bytes;
  return work;
}

std::string listed(const std::vector<int> &ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t i = 0; i < ranks.size(); i++) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += std::to_string(ranks[i]);
  }
  return text;
}

}  // namespace sim::nccl
