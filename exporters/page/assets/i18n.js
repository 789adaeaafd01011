// SPDX-License-Identifier: Apache-2.0

// The texts of the page by key: [English, Chinese]. Terms such as goroutine, P, M, GC,
// span and trace are not translated.

const words = {
  'loading': ['Loading…', '加载中…'],
  'failed': ['Failed: {error}', '操作失败：{error}'],
  'copy': ['Copy', '复制'], 'copied': ['Copied', '已复制'], 'download': ['Download', '下载'], 'close': ['Close', '关闭'],
  'before': ['before', '之前'], 'during': ['during', '当时'], 'growth': ['growth', '增长'],

  'state.live': ['live', '实时'], 'state.polling': ['live (polling)', '实时（轮询）'], 'state.lost': ['connection lost, trying again', '连接断开，重连中'],
  'state.ended': ['gmpulse has stopped', 'gmpulse 已停止'], 'state.paused': ['paused', '已暂停'],
  'tool.pause': ['Pause (space)', '暂停（空格）'], 'tool.resume': ['Resume (space)', '继续（空格）'], 'tool.help': ['Keys and marks (?)', '快捷键与图例（?）'],
  'tool.theme': ['Light, dark or as the system', '浅色、深色或跟随系统'], 'tool.lang': ['中文', 'English'], 'tool.range': ['Time shown', '时间范围'],
  'tool.reset': ['Back to now (0)', '回到当前（0）'], 'tool.table': ['As a table', '表格视图'], 'tool.pprof': ['Commands for go tool pprof', 'go tool pprof 命令'], 'tool.capture': ['Take a capture now', '立即抓取现场'],
  'range.60': ['1 min', '1 分'], 'range.300': ['5 min', '5 分'], 'range.900': ['15 min', '15 分'], 'range.3600': ['1 h', '1 小时'],
  'fact.nospans': ['no spans seen', '未观测到 span'],
  'fact.nospans.help': ['The program sets no OpenTelemetry TracerProvider. Wrap its handler with a.Middleware and its jobs with a.Do, or set a provider; verdicts then show under which requests goroutines were created.', '程序没有设置 OpenTelemetry 的 TracerProvider。用 a.Middleware 包装 HTTP handler、用 a.Do 包装任务，或设置一个 provider，诊断结论就能指出 goroutine 是在哪个请求下创建的。'],
  'fact.up': ['up {time}', '已运行 {time}'],

  'verdict.waiting': ['Waiting for the first sample.', '等待第一个采样点。'],
  'verdict.calm': ['Normal: {n} goroutines, no leak and no anomaly.', '一切正常：{n} 个 goroutine，未发现泄漏或异常。'],
  'verdict.since': ['since {time}', '自 {time} 起'],
  'verdict.group': ['{kind}: {n} goroutines in {wait} at {place}', '{kind}：{n} 个 goroutine 阻塞于 {wait}，位置 {place}'],
  'verdict.unclosed': ['{kind}: {n} that no code can close any more, requested at {place}, under {root}', '{kind}：{n} 个再也没有代码能关闭，请求位置 {place}，所属 {root}'], 'kind.unclosed': ['unclosed response bodies', '响应体未关闭'],
  'verdict.growing': ['Watching: {n} goroutines at {place}', '正在观察：{n} 个 goroutine，位置 {place}'],
  'verdict.rate': [', {rate} a minute', '，每分钟 {rate}'],
  'verdict.under': [', created under {root}', '，在 {root} 下创建'],
  'verdict.band': ['Anomaly: {signal} at {value}, expected {expected}', '异常：{signal} 达到 {value}，预期约 {expected}'],
  'verdict.more': ['and {n} more', '另有 {n} 项'],
  'verdict.look': ['Why?', '看原因'],

  'kind.leak-proven': ['leak, proven', '已证实泄漏'], 'kind.leak': ['leak', '泄漏'], 'kind.stuck': ['stuck', '卡住'], 'kind.pressure': ['pressure', '下游变慢'],
  'kind.load': ['load', '正常负载'], 'kind.connections': ['connections', '连接数'], 'kind.pool': ['pool', '常驻池'], 'kind.burst': ['burst', '突增'], 'kind.growing': ['growing', '增长中'],
  'what.leak-proven': ['nothing can ever wake them', '再也没有谁能唤醒它们'],
  'what.leak': ['they neither run nor end, and more are added', '既不运行也不退出，而且还在增加'],
  'what.stuck': ['requests in flight that neither run nor end', '在途请求既不运行也不结束'],
  'what.pressure': ['they end, but each stays longer than before', '能退出，但每个都待得越来越久'],
  'what.growing': ['no verdict yet; gmpulse keeps watching', '还不能下结论，gmpulse 正在观察'],
  'what.burst': ['many new goroutines, too new for a verdict', '短时间内新增很多，还来不及下结论'],
  'what.load': ['in proportion to the load', '与请求量相符'], 'what.connections': ['more clients are connected', '连接的客户端变多了'], 'what.pool': ['they run, or their number has stopped growing', '在工作，或数量已不再增长'],

  'hero.title': ['Goroutines by state', 'Goroutine 状态分布'], 'hero.total': ['goroutines', '个 goroutine'], 'hero.expected': ['expected', '预期区间'], 'hero.created': ['created /s', '新建 /s'],
  'state.running': ['running', '运行中'], 'state.runnable': ['runnable', '等待调度'], 'state.notInGo': ['in syscall or cgo', '系统调用 / cgo'], 'state.waiting': ['waiting', '阻塞等待'],
  'hero.slider': ['Time cursor. Arrow keys move it, Enter opens the moment.', '时间游标：方向键移动，回车查看该时刻。'],
  'hero.at': ['{time}: {n} goroutines, {running} running, {runnable} runnable, {waiting} waiting, {spans} requests in flight', '{time}：{n} 个 goroutine，运行中 {running}，等待调度 {runnable}，阻塞 {waiting}，进行中的请求 {spans}'],

  'lanes.title': ['Requests in flight, by root span', '进行中的请求（按根 span）'], 'lanes.rest': ['{n} others', '其余 {n} 个'], 'lanes.started': ['start/end /s', '每秒开始/结束'], 'lanes.none': ['No request in this time.', '这段时间没有请求。'],
  'rail.gc': ['GC', 'GC'], 'rail.events': ['Events', '事件'], 'rail.capture': ['Capture: {reason}', '抓取现场：{reason}'], 'rail.band': ['{signal} left its expected band', '{signal} 超出预期区间'],
  'rail.procs': ['GOMAXPROCS went from {from} to {to}', 'GOMAXPROCS 由 {from} 变为 {to}'], 'rail.drop': ['Records are dropped: {names}', '开始丢数据：{names}'],

  'section.scheduler': ['Scheduler', '调度器'], 'section.requests': ['Requests', '请求'], 'section.memory': ['Memory', '内存'], 'section.gc': ['Garbage collection', '垃圾回收'],
  'section.host': ['Process, container, host', '进程、容器与主机'], 'section.exporters': ['Exporters', '导出器'], 'section.agent': ['Cost of gmpulse itself', 'gmpulse 自身开销'], 'section.own': ['Application gauges', '业务自定义指标'],
  'card.queue': ['Runnable per P', '每个 P 的可运行 goroutine'], 'card.latency': ['Scheduling latency', '调度延迟'], 'card.threads': ['Threads M and processors P', '线程 M 与处理器 P'], 'card.mutex': ['Mutex wait time', '锁等待时间'],
  'card.rate': ['Requests per second', '每秒请求数'], 'card.flight': ['In flight', '进行中'], 'card.bodies': ['Open response bodies', '未关闭的响应体'], 'help.bodies': ['Of HTTP clients. No code can close the lost ones any more.', 'HTTP 客户端的；“无法关闭”的再也没有代码能关闭。'],
  'card.oldest': ['Oldest request', '最久未结束的请求'],
  'card.heap': ['Heap', '堆'], 'card.rss': ['Resident memory', '常驻内存'], 'card.allocs': ['Allocation rate', '分配速率'], 'card.stacks': ['Goroutine stacks', 'goroutine 栈'],
  'card.cycles': ['GC cycles per second', '每秒 GC 次数'], 'card.pauses': ['Longest pause (STW)', '最长 STW 停顿'], 'card.gccpu': ['CPU share of GC', 'GC 占用 CPU'],
  'card.cpu': ['CPU of the process, in cores', '进程 CPU（核）'], 'card.machine': ['CPU of the machine, in cores', '整机 CPU（核）'], 'card.throttle': ['Time without a CPU', '拿不到 CPU 的时间'], 'card.pressure': ['Pressure (PSI)', '资源压力（PSI）'], 'card.files': ['Open file descriptors', '打开的文件描述符'], 'card.network': ['Network', '网络'],
  'card.delivered': ['Records delivered', '已送达'], 'card.dropped': ['Dropped and failed', '丢弃与失败'], 'card.pending': ['Records waiting to be sent', '待发送'],
  'card.tick': ['Time per sample', '单次采样耗时'], 'card.late': ['Wake-up latency', '唤醒延迟'], 'card.missed': ['Missed samples, repaired values', '漏采与修正'],
  'help.queue': ['If it stays above 1, goroutines wait for a processor (P) and latency rises.', '长期大于 1 说明任务在排队等 P，延迟随之上升。'],
  'help.latency': ['How long runnable goroutines waited until they ran.', 'goroutine 从可运行到真正运行等了多久。'],
  'help.throttle': ['Time throttled by the CPU quota of the container, and time that threads waited for a CPU. No Go metric shows it.', '被容器 CPU 配额限流的时间，以及线程等待 CPU 的时间。Go 自己的指标里看不到。'],
  'help.late': ['How late the goroutine of gmpulse runs after its timer. Goroutines of the application wait as long.', 'gmpulse 自己的 goroutine 在定时器到期后多久才运行；业务 goroutine 也会等同样久。'],
  'line.max': ['max', '最大'], 'line.mean': ['mean', '平均'], 'line.p99': ['p99', 'p99'], 'line.p50': ['p50', 'p50'], 'line.threads': ['M', 'M'], 'line.procs': ['P', 'P'], 'line.usable': ['usable CPUs', '可用 CPU'], 'line.wait': ['', ''],
  'line.started': ['started', '开始'], 'line.ended': ['ended', '结束'], 'line.active': ['', ''], 'line.age': ['', ''], 'line.openbodies': ['open', '未关闭'], 'line.lostbodies': ['lost', '无法关闭'], 'line.alloc': ['in use', '已用'], 'line.live': ['live', '存活'], 'line.goal': ['goal', '目标'],
  'line.rss': ['RSS', 'RSS'], 'line.container': ['container', '容器'], 'line.limit': ['limit', '上限'], 'line.rate': ['', ''], 'line.stacks': ['', ''], 'line.cycles': ['', ''], 'line.gc': ['GC', 'GC'], 'line.other': ['other', '其他'], 'line.share': ['', ''],
  'line.process': ['', ''], 'line.quota': ['quota', '配额'], 'line.busy': ['busy', '使用中'], 'line.steal': ['steal', '被抢占'], 'line.cpus': ['CPUs', 'CPU 数'], 'line.throttled': ['throttled', '被限流'], 'line.runqueue': ['queued', '排队'],
  'line.cpu': ['CPU', 'CPU'], 'line.memory': ['memory', '内存'], 'line.io': ['I/O', 'I/O'], 'line.open': ['', ''], 'line.in': ['in', '入'], 'line.out': ['out', '出'], 'line.delivered': ['', ''], 'line.dropped': ['dropped', '丢弃'], 'line.failures': ['failed', '失败'], 'line.pending': ['', ''],
  'line.tick': ['tick', '采样'], 'line.host': ['host pass', '主机采样'], 'line.pulse': ['pulse', '脉冲'], 'line.ticks': ['tick', '采样'], 'line.missed': ['missed', '漏采'], 'line.repairs': ['repaired', '修正'],

  'moment.title': ['This moment', '这一刻'], 'moment.before': ['compared with {range}', '对比 {range}'], 'moment.prev': ['Previous anomaly ([)', '上一个异常（[）'], 'moment.next': ['Next anomaly (])', '下一个异常（]）'],
  'moment.zoom': ['Zoom to it (z)', '放大（z）'], 'moment.link': ['Copy link (l)', '复制链接（l）'], 'moment.zip': ['Export as zip', '导出为 zip'], 'moment.close': ['Close (Esc)', '关闭（Esc）'],
  'moment.nothing': ['No verdict on goroutines at this time. Changes are listed below.', '这段时间没有针对 goroutine 的结论，变化见下。'],
  'moment.band': ['{signal} reached {value} from {time} on; expected was {expected}.', '{signal} 自 {time} 起达到 {value}，预期约 {expected}。'],
  'answer.growing': ['{n} goroutines in {wait}, {rate} a minute since {time}.', '{n} 个 goroutine 阻塞于 {wait}，自 {time} 起每分钟 {rate}。'],
  'answer.still': ['{n} goroutines in {wait} since {time}.', '自 {time} 起有 {n} 个 goroutine 阻塞于 {wait}。'],
  'answer.created': ['Created at', '创建位置'],
  'answer.where': ['Where', '位置'], 'answer.under': ['Created under', '在这些 span 下创建'], 'answer.why': ['Why', '依据'], 'answer.hint': ['Look for', '排查方向'], 'answer.limit': ['Memory lasts', '内存还能撑'],
  'answer.proven': ['the garbage collector found {n} of them unreachable', 'GC 已证实其中 {n} 个不可达'],
  'answer.more': ['Stack and evidence', '调用栈与依据'], 'answer.ages': ['By age:', '按存活时间：'], 'answer.norequest': ['no request', '不在请求内'],
  'groups.title': ['Goroutines by growth', 'goroutine 分组（按增长排序）'], 'groups.surveys': ['surveys of {then} and {before}', '采样于 {then} 与 {before}'], 'groups.group': ['waits at', '阻塞位置'], 'groups.under': ['created under {roots}', '在 {roots} 下创建'],
  'changes.title': ['What changed', '指标变化'], 'changes.metric': ['metric', '指标'], 'changes.peak': ['peak', '峰值'], 'changes.all': ['All {n} metrics', '全部 {n} 个指标'], 'changes.few': ['Only what changed', '只看有变化的'], 'changes.none': ['No metric changed more than it normally does.', '没有超出平常波动的变化。'],
  'spans.title': ['Requests in flight at that time', '当时未结束的请求'], 'spans.name': ['root span', '根 span'], 'spans.age': ['age', '已持续'], 'spans.trace': ['trace', 'trace'],
  'events.title': ['Events', '期间事件'],
  'captures.title': ['Captures', '抓取的现场'], 'captures.none': ['No captures yet.', '还没有抓取过现场。'], 'captures.others': ['No capture near this moment. The newest ones:', '这一刻附近没有抓取记录，最近的几次：'], 'captures.take': ['Take a capture now', '立即抓取现场'], 'captures.taking': ['Taking a capture…', '正在抓取现场…'], 'captures.taken': ['Captured: {id}', '已抓取：{id}'],
  'flame.open': ['Flame graph of all goroutines now', '当前全部 goroutine 的火焰图'], 'flame.now': ['All goroutines now', '当前全部 goroutine'], 'flame.show': ['Flame graph', '火焰图'], 'flame.search': ['Find a function', '查找函数'], 'flame.type': ['Value', '度量'], 'flame.by': ['Group by label', '按标签分组'],
  'flame.label': ['Flame graph of {type}, {total} in total. Arrow keys move, Enter zooms in, Backspace zooms out.', '{type} 火焰图，总计 {total}。方向键移动，回车放大，退格返回。'], 'flame.table': ['Table: functions with the greatest self value', '表格：自身占用最多的函数'], 'flame.function': ['function', '函数'], 'flame.self': ['self', '自身'],

  'flame.kind': ['Profile', 'profile'], 'profile.cpu': ['CPU', 'CPU'], 'profile.heap': ['heap', '堆'], 'profile.goroutine': ['goroutines', 'goroutine'],
  'flame.root': ['Root span', '根 span'], 'flame.allroots': ['all', '全部'], 'flame.healthy': ['Compared with the last healthy hour', '与最近正常的一小时对比'],
  'flame.difference': ['{kind}: difference to the last healthy hour', '{kind}：与最近正常的一小时的差异'], 'flame.base': ['before: {range}, scaled to the same duration', '之前：{range}，已折算为相同时长'],
  'flame.difftable': ['Table: functions whose self values changed most', '表格：自身值变化最大的函数'], 'flame.grew': ['grew', '增加'], 'flame.fell': ['shrank', '减少'], 'flame.same': ['same', '不变'], 'flame.new': ['new', '新增'], 'flame.width': ['Width: before', '宽度按之前'],
  'cpu.title': ['CPU by root span', 'CPU 时间（按根 span）'], 'cpu.time': ['CPU', 'CPU'], 'cpu.error': ['error', '误差'], 'cpu.share': ['share', '占进程'], 'cpu.samples': ['samples', '样本数'],
  'cpu.note': ['Estimated from {n} profiles of {d}, one every {every}, which cover {share} of the CPU time of the process.', '由 {n} 次 CPU profile 估算（每 {every} 一次，每次 {d}），覆盖进程 CPU 时间的 {share}。'],
  'cpu.missed': ['{n} were missed.', '另有 {n} 次没有采到。'], 'cpu.none': ['No CPU profile in this time; one is taken every {every}.', '这段时间没有 CPU profile；每 {every} 采一次。'],
  'cpu.unowned': ['no span', '不属于任何 span'], 'cpu.agent': ['({d} of it gmpulse)', '（其中 gmpulse {d}）'], 'cpu.runtime': ['Go runtime: GC, scheduler', 'Go 运行时：GC、调度'], 'cpu.other': ['other root spans', '其他根 span'],
  'cpu.flame': ['Flame graph of {root}', '{root} 的火焰图'], 'cpu.all': ['Flame graph of the whole process', '整个进程的火焰图'],
  'pprof.cpu': ['CPU for 30 seconds', 'CPU，30 秒'], 'pprof.cpuby': ['CPU by root span', 'CPU，按根 span'], 'pprof.goroutines': ['Goroutines created under it', '在它下面创建的 goroutine'], 'pprof.goroutinesby': ['Goroutines by root span', 'goroutine，按根 span'],
  'pprof.heap': ['Heap before a change', '堆：变化之前'], 'pprof.heapdiff': ['… and after it, as a difference', '……变化之后，看差异'], 'pprof.trace': ['Execution trace of 5 seconds', '执行 trace，5 秒'],
  'pprof.token': ['With a token, the address is {address}', '需要令牌时，地址写成 {address}'],

  'signal.goroutines': ['goroutines', 'goroutine 数'], 'signal.goroutines.running': ['running goroutines', '运行中的 goroutine'], 'signal.goroutines.runnable': ['runnable goroutines', '等待调度的 goroutine'], 'signal.goroutines.waiting': ['waiting goroutines', '阻塞的 goroutine'],
  'signal.goroutines.not_in_go': ['goroutines in syscalls', '系统调用中的 goroutine'], 'signal.goroutines.created': ['goroutines created', '新建 goroutine'], 'signal.scheduler.runnable_per_processor': ['runnable per P', '每个 P 的可运行 goroutine'],
  'signal.scheduler.latency.p99': ['scheduling latency p99', '调度延迟 p99'], 'signal.scheduler.lateness': ['wake-up latency of gmpulse', 'gmpulse 唤醒延迟'], 'signal.gc.cpu': ['CPU share of GC', 'GC 占用 CPU'], 'signal.gc.pause': ['GC pauses', 'GC 停顿'],
  'signal.memory.heap_live': ['live heap', '存活堆'], 'signal.memory.resident': ['resident memory, share of the limit', '常驻内存占上限的比例'], 'signal.cpu.throttled': ['time throttled', '被限流时间占比'],
  'signal.root_span.p50': ['p50 of {root}', '{root} 的 p50'], 'signal.root_span.p99': ['p99 of {root}', '{root} 的 p99'], 'signal.root_span.active': ['{root} in flight', '进行中的 {root}'],

  'table.title': ['The range shown, as a table', '当前范围的数据表'], 'table.time': ['time', '时间'], 'table.page': ['{from}–{to} of {n}', '第 {from}–{to} 行，共 {n} 行'], 'table.prev': ['Newer', '较新'], 'table.next': ['Older', '较早'], 'table.total': ['goroutines', 'goroutine 总数'], 'table.spans': ['requests', '请求'],
  'help.title': ['Keys and marks', '快捷键与图例'],
  'help.space': ['pause or resume', '暂停 / 继续'], 'help.arrows': ['move the cursor; with Shift by ten samples', '移动游标；按住 Shift 一次移动十个采样点'], 'help.enter': ['open the moment at the cursor', '查看游标所在时刻'], 'help.brackets': ['previous or next anomaly', '上一个 / 下一个异常'],
  'help.zoom': ['zoom in or out', '放大 / 缩小'], 'help.zero': ['back to now', '回到当前'], 'help.z': ['zoom to the moment', '放大到选中时刻'], 'help.l': ['copy a link to what you see', '复制当前视图的链接'], 'help.t': ['as a table', '表格视图'], 'help.esc': ['close', '关闭'], 'help.help': ['this help', '本帮助'],
  'help.mouse': ['Click a spike for its moment, drag over a range for that range, double-click to return to now.', '点击尖峰查看该时刻，拖动选择一段时间，双击回到当前。'],
  'help.marks': ['Marks', '图例'], 'mark.verdict': ['verdict on goroutines', 'goroutine 结论'], 'mark.anomaly': ['a signal outside its expected band', '信号超出预期区间'], 'mark.capture': ['capture', '抓取的现场'], 'mark.procs': ['GOMAXPROCS changed', 'GOMAXPROCS 变化'], 'mark.drop': ['an exporter drops records', '导出器丢数据'], 'mark.other': ['any other event', '其他事件'],
  'linked': ['Link copied', '链接已复制'], 'jump.none': ['No anomaly in that direction', '该方向没有异常'],
};

/** hints by id: the English text of the detector, and its translation. */
const hints = {
  'http-body': ['an HTTP response whose body is not closed, or not read to its end, keeps its connection and two goroutines; so does an http.Transport that is created for each request and never closed', 'HTTP 响应体没有关闭或没有读完，会一直占着连接和两个 goroutine；每次请求都新建、从不关闭的 http.Transport 也一样。'],
  'http-idle': ['these connections are idle: each new http.Transport keeps connections of its own; share one, or call CloseIdleConnections', '这些连接都在等下一个请求：http.Transport 被反复新建，每个都留着自己的连接。请共用一个，或调用 CloseIdleConnections。'],
  'http-stream': ['an HTTP/2 response whose body is not closed, or not read to its end, keeps its stream and a goroutine', 'HTTP/2 响应体没有关闭或没有读完，会一直占着流和一个 goroutine。'],
  'http-dial': ['the upstream does not accept connections: set a dial timeout', '上游不接受连接：设置拨号超时。'],
  'grpc-client': ['a grpc.ClientConn is created for each call, or never closed: create one and share it', '每次调用都新建 grpc.ClientConn，或从不关闭：只建一个，大家共用。'],
  'grpc-stream': ['a stream is not read to its end, and its context is not cancelled', '流既没有读到结束，它的 context 也没有取消。'],
  'sql-open': ['sql.Open is called for each request: open one DB and share it', '每个请求都调用了 sql.Open：只打开一个 DB，大家共用。'],
  'sql-tx': ['a sql.Tx is neither committed nor rolled back', 'sql.Tx 既没有提交也没有回滚。'],
  'sql-rows': ['sql.Rows are not closed', 'sql.Rows 没有 Close。'],
  'mysql-watcher': ['each connection of a sql.DB has one such goroutine: call SetMaxOpenConns, and open one DB and share it', 'sql.DB 的每个连接各有一个：设置 SetMaxOpenConns，并且只打开一个 DB、大家共用。'],
  'context-parent': ['a context derived from a custom parent is never cancelled: call its cancel function', '由非标准 parent 派生的 context 从未取消：记得调用 cancel。'],
  'context': ['a context is never cancelled: call its cancel function', 'context 从未取消：记得调用 cancel。'],
  'dns': ['DNS does not answer: set a timeout', 'DNS 没有响应：设置超时。'],
  'dial': ['the peer does not accept connections: set a dial timeout', '对端不接受连接：设置拨号超时。'],
  'sql-pool': ['the pool of connections is exhausted: sql.Rows or a sql.Tx is not closed, or SetMaxOpenConns is too low', '连接池已耗尽：sql.Rows 或 sql.Tx 没有关闭，或者 SetMaxOpenConns 太小。'],
  'pgx-pool': ['the pool of connections is exhausted: Rows are not closed, a Tx is not ended or a Conn is not released on some path, or MaxConns is too low', '连接池已耗尽：某条路径上 Rows 没有 Close、Tx 没有结束或 Conn 没有 Release，或者 MaxConns 太小。'],
  'redis-pool': ['the pool of the Redis client is exhausted: blocking commands hold its connections, a Conn is not closed, or PoolSize is too low', 'Redis 客户端的连接池已耗尽：阻塞命令占着连接、Conn 没有关闭，或者 PoolSize 太小。'],
  'mongo-pool': ['the pool of the MongoDB client is exhausted: a Cursor or a Session is not closed, or MaxPoolSize is too low', 'MongoDB 客户端的连接池已耗尽：Cursor 或 Session 没有关闭，或者 MaxPoolSize 太小。'],
  'pool': ['the pool is exhausted: a resource is not released on some path, or the pool is too small', '池中没有空闲资源：某条路径上取出后没有归还，或者池太小。'],
  'made': ['{call}, called at {line}, starts goroutines that end when the object is closed: close it, or create one and share it', '{call}（在 {line} 处调用）会启动 goroutine，对象关闭后才退出：用完要关闭，或者只建一个、大家共用。'],
  'started': ['{call}, called at {line}, starts a goroutine that does not end: close or read to its end what the call returned, or cancel its context', '{call}（在 {line} 处调用）启动的 goroutine 没有退出：关闭它返回的对象、读到结束，或取消它的 context。'],
  'library': ['they run only code of {package}: look for an object of that package that is created repeatedly and never closed', '它们只在 {package} 内部运行：看看是否有它的对象被反复新建却从不关闭。'],
  'call': ['{call} does not return: limit the call with a context or a timeout', '{call} 一直没有返回：用 context 或超时限制这次调用。'],
  'lock-holder': ['many goroutines wait for one lock; a goroutine in the same function may hold it: {holder}', '大量 goroutine 在等同一把锁；同一函数里有一个 goroutine 不在等它，可能正持有它：{holder}'],
  'lock-pair': ['each waits for a lock that may be held by another goroutine of the same object, which waits itself: {holder}', '每个都在等一把锁，同一对象的另一个 goroutine 可能持有它，而自己也在等待：{holder}'],
  'lock': ['a lock is not released: Unlock is missing on some path, or the holder of the lock waits for something else', '锁没有释放：某条路径上漏了 Unlock，或者持有者自己在等别的东西。'],
  'lock-slow': ['a lock is held for longer than before: do slow work without holding it', '持锁的时间比以前长：把慢操作移到锁外。'],
  'cond': ['Wait of a sync.Cond does not return: Signal or Broadcast is missing on some path, or was called before Wait', 'sync.Cond 的 Wait 没有被唤醒：某条路径上漏了 Signal 或 Broadcast，或者它早于 Wait 执行。'],
  'wait-group': ['WaitGroup.Wait does not return: Done is not called on every path, Add is called too often, or a goroutine of the group is blocked', 'WaitGroup.Wait 没有返回：某条路径上漏了 Done、Add 多加了，或者它等的 goroutine 自己被阻塞。'],
  'errgroup-wait': ['Wait of an errgroup does not return: one of its functions is blocked and ignores the context of the group', 'errgroup 的 Wait 没有返回：其中一个函数被阻塞，又没有监听该组的 context。'],
  'errgroup-limit': ['Go of an errgroup waits because the group is at its limit: its functions do not end, or one of them calls Go of the same group', 'errgroup 的 Go 在等 SetLimit 的名额：组内函数没有结束，或者其中一个又调用了同一组的 Go。'],
  'errgroup-nested': ['a function of an errgroup calls Go of a group at its limit, and so waits for itself: start nested work in another group', 'errgroup 的函数在已达上限的组上又调用 Go，等于在等自己：嵌套的任务请用单独的组。'],
  'semaphore': ['Acquire waits for a weighted semaphore: Release is not called on every path, or the requested weight exceeds its size', '在等 semaphore.Weighted 的 Acquire：某条路径上漏了 Release，或者申请量超过总量。'],
  'singleflight': ['all wait for one call of a singleflight.Group: limit that call with a timeout, or use DoChan with a select on the context', '全都在等 singleflight.Group 正在进行的那一次调用：给它设置超时，或者用 DoChan 并在 select 里同时监听 context。'],
  'send': ['no goroutine receives: the receiver returned early; add a buffer to the channel, or select on a context too', '没有人接收：接收方提前返回了。给 channel 留出缓冲，或者在 select 里同时监听 context。'],
  'receive': ['no goroutine sends or closes: the sender returned early, a context is never cancelled, or a ticker was stopped, which does not close its channel', '没有人发送或关闭：发送方提前返回、context 一直没取消，或者 range 的 ticker 已 Stop（Stop 不会关闭 channel）。'],
  'ticker': ['a loop over the channel of time.Tick or of a Ticker never ends, not even after Stop: select on a context too', '对 time.Tick 或 Ticker 的 channel 循环不会自己结束，Stop 之后也不会：请在 select 里同时监听 context。'],
  'select': ['none of the cases becomes ready: a context is not passed on or never cancelled; in a loop, time.After starts again each time', 'select 的任何分支都等不到：context 没有传下去或从未取消；循环里的 time.After 只会让它一直等。'],
  'forever': ['a select without cases never ends', '没有分支的 select 永远不会结束。'],
  'sleep': ['a loop that sleeps has no way to end: pass a context to it', '带 Sleep 的循环没有退出条件：给它一个 context。'],
  'retry': ['they wait between attempts: limit the attempts, or stop when the context is done', '它们在两次重试之间等待：限制重试次数，或在 context 结束时停止。'],
  'pipe-write': ['the other end of the pipe is not read: the reader returned without CloseWithError', '管道另一端没有人读：读取方返回时没有调用 CloseWithError。'],
  'pipe-read': ['the other end of the pipe is neither written nor closed: the writer returned without Close or CloseWithError', '没有人写入或关闭管道：写入方返回时没有调用 Close 或 CloseWithError。'],
  'upstream': ['an upstream does not answer: pass a context with a timeout, or set the timeout of the client', '上游没有响应：给这次调用一个带超时的 context，或设置客户端自己的超时。'],
  'peer': ['they wait for the peer of a connection: only a deadline, a cancelled context or closing the connection ends the wait', '它们在等连接的对端：只有 deadline、取消 context 或关闭连接才能结束。'],
  'process': ['a child process does not end: start it with exec.CommandContext, and set WaitDelay', '子进程没有退出：用 exec.CommandContext 启动，并设置 WaitDelay。'],
};

/**
 * evidences are the clauses of a verdict's evidence: the English text of the detector, and
 * its translation. Placeholders that begin with n are numbers, with d durations, and t is a
 * time of day. The first match counts. TestEvidenceIsTranslated compares them with the detector.
 */
const evidences = [
  ['they work: {ran}', '它们在工作：{ran}'],
  ['in a sample {ran}', '抽样结果：{ran}'],
  ['two runs of the garbage collector found that nothing can wake {n} of them', '两次 GC 都确认其中 {n} 个再也无法被唤醒'],
  ['the garbage collector found earlier that nothing can wake some of them', 'GC 曾确认其中一部分再也无法被唤醒'],
  ['they still exist', '它们仍然存在'],
  ['{n} of {n2} ran during {recordings}', '{recordings}内，{n2} 个中有 {n} 个运行过'],
  ['none of the older members ran during {recordings}', '{recordings}内，较早的成员都没有运行'],
  ['{share} of the older members ran during {recordings}', '{recordings}内，较早的成员有 {share} 运行过'],
  ['a recording of {d}', '一次 {d}的执行记录'],
  ['{n} recordings of {d} each', '{n} 次各 {d}的执行记录'],
  ['none that waited for {d} had ended by {t}, and the memory lasts for {d2} at this rate', '截至 {t}，等待超过 {d}的无一退出；按此速度内存还能撑 {d2}'],
  ['none of the {n} that existed at {t} had ended by {t2}', '{t} 时已存在的 {n} 个到 {t2} 无一退出'],
  ['{n} ended late, and {n2} that existed at {t} had not ended by {t2}', '有 {n} 个较晚才退出，{t} 时已存在的另外 {n2} 个到 {t2} 仍未退出'],
  ['{n} ended late', '有 {n} 个较晚才退出'],
  ['{n} of {n2} members are left', '{n2} 个成员中只剩 {n} 个'],
  ['practically none has joined for {d}, but its root spans go on', '{d}内几乎没有新增，而它的根 span 仍在继续'],
  ['all members have ended', '所有成员都已退出'],
  ['only their own timers wake them', '只有它们自己的定时器会唤醒它们'],
  ['they work, but accumulate', '它们在工作，但不断累积'],
  ['{n} join for each root span', '平均每个根 span 新增 {n} 个'],
  ['{n} members', '共 {n} 个'],
  ['{n} more in {d}', '{d}内新增 {n} 个'],
  ['{n} wait for more than {d} and did not run during {recordings}', '{n} 个已等待超过 {d}，在{recordings}内没有运行'],
  ['no {root} has ended for {d}, earlier ones took {d2} at most', '{d}内没有 {root} 结束，此前最长 {d2}'],
  ['the clients of {n} handlers have disconnected', '有 {n} 个 handler 的客户端已断开'],
  ['they wait for a lock', '它们在等锁'],
  ['they wait for the answer to a call, or for a connection of a pool', '它们在等调用的响应，或等连接池中的连接'],
  ['requests in flight, or sessions that last as long as their connection', '在途请求，或与连接同寿命的会话'],
  ['their root spans are still open', '它们的根 span 尚未结束'],
  ['one for each connection of a client', '每个客户端连接各有一个'],
  ['their number follows the connections that the process has accepted, {n} now', '数量与进程接受的连接数一致，目前 {n} 个'],
  ['they wait for a connection, or were created together with goroutines that do', '它们在等连接，或与等连接的 goroutine 一同创建'],
  ['goroutines that are created together with them work: {site}', '与它们一同创建的 goroutine 在工作：{site}'],
  ['the group has stopped growing', '该组已不再增长'],
  ['{n} of {n2} ended between the last two recordings', '最近两次执行记录之间，{n2} 个中有 {n} 个退出'],
  ['each stays longer than before: what they wait for is slow', '每个停留的时间都比以前长：它们等待的对象变慢了'],
  ['{n} a minute ago', '一分钟前为 {n} 个'],
  ['{n} at the last survey', '上次采样时为 {n} 个'],
  ['only the number is known, because a survey of so many goroutines costs too much', '只知道数量：goroutine 太多，完整采样的开销过大'],
  ['there is no recorder, so it is unknown whether they run or end', '没有执行记录器，无法知道它们是否运行或退出'],
  ['the first recording will show whether they run', '第一次执行记录将显示它们是否运行'],
  ['{n} ended late: the next recordings will show whether the others do', '有 {n} 个较晚才退出：后续执行记录将显示其余是否退出'],
  ['they wake themselves: it is a leak if they are added at this rate for some more minutes and none ends', '它们会自行唤醒：如果几分钟内继续以此速度增加且无一退出，就是泄漏'],
  ['some ended after they had waited for {d}: it is a leak if others wait for {d2}', '有的等待 {d}后退出：如果其余的等到 {d2}，就是泄漏'],
  ['fewer join than before: it is a pool if the number stops rising', '新增比以前少：如果数量不再上升，就是常驻池'],
  ['it is a leak at {t} if more are added and none runs or ends', '如果继续增加且无一运行或退出，{t} 将判定为泄漏'],
];

let current = 'en';

/** lang returns "en" or "zh-CN". */
export const lang = () => current;

/** choose sets the language to the wanted one, or else the browser's preference. */
export function choose(wanted) {
  const prefers = wanted || (navigator.languages || [navigator.language]).find((l) => /^(zh|en)/i.test(l)) || 'en';
  current = /^zh/i.test(prefers) ? 'zh-CN' : 'en';
  document.documentElement.lang = current;
}

export const has = (key) => key in words;

/** t returns the text of a key with its placeholders replaced, or the key if it is unknown. */
export function t(key, values) {
  const pair = words[key];
  let text = pair ? pair[current === 'en' ? 0 : 1] : key;
  for (const [k, v] of Object.entries(values || {})) text = text.replaceAll(`{${k}}`, v);
  return text;
}

/** signal returns the display name of a baseline signal. */
export function signal(name) {
  const [kind, ...root] = name.split(' ');
  return has('signal.' + kind) ? t('signal.' + kind, {root: root.join(' ')}) : name;
}

const durationUnits = {h: '小时', m: '分', s: '秒', ms: '毫秒', 'µs': '微秒', ns: '纳秒'};

/** duration translates a time.Duration of Go: "1h30m0s" is "1 小时 30 分". */
function duration(text) {
  const parts = [...text.matchAll(/([\d.]+)(h|ms|m|µs|ns|s)/g)];
  return parts.filter(([, n]) => Number(n) || parts.length === 1).map(([, n, unit]) => `${n} ${durationUnits[unit]}`).join(' ');
}

const number = '(-?[\\d.]+(?:e[+-]\\d+)?)';
const kinds = [[/^n\d?$/, number], [/^d\d?$/, '((?:[\\d.]+(?:h|ms|m|µs|ns|s))+)'], [/^t\d?$/, '(\\d\\d:\\d\\d:\\d\\d)'], [/^/, '(.+)']];

/**
 * translate returns the translation of a text whose placeholders are replaced already. It
 * returns an unknown text unchanged. Values are translated as well, if they are known.
 */
function translate(pairs, text) {
  for (const [english, chinese] of pairs) {
    const parts = english.split(/\{(\w+)\}/), names = parts.filter((_, i) => i % 2);
    const pattern = parts.map((part, i) => (i % 2 ? kinds.find(([k]) => k.test(part))[1] : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))).join('');
    const found = new RegExp(`^${pattern}$`).exec(text);
    if (!found) continue;
    const value = (i) => (/^d\d?$/.test(names[i]) ? duration(found[i + 1]) : translate(pairs, found[i + 1]));
    return chinese.replace(/\{(\w+)\}/g, (_, name) => value(names.indexOf(name)));
  }
  return text;
}

/** hint returns a hint of the detector in the current language. */
export const hint = (text) => (current === 'en' ? text : translate(Object.values(hints), text));

/** evidence returns the evidence of a verdict in the current language. */
export const evidence = (text) => (current === 'en' ? text : text.split('; ').map((clause) => translate(evidences, clause)).join('；'));
